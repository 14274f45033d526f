"""The figures as a picture: each as a share of its target."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from tests.bench.figures import Figure

_ROW_PX, _LABEL_PX, _PLOT_PX, _HEAD_PX, _VALUE_PX = 26, 520, 360, 40, 150
#: Shares are drawn up to here.
_MOST = 2.0
_FONT = 'font-family="sans-serif" font-size="12"'


def plot(figures: Sequence[Figure]) -> str:
    """An SVG: one row a figure, a line at the target; a bar that ends left of it meets it."""
    rows = [(figure, figure.share) for figure in figures if figure.share is not None]
    width, height = _LABEL_PX + _PLOT_PX + _VALUE_PX, _HEAD_PX + _ROW_PX * len(rows) + 10
    target_x = _LABEL_PX + _PLOT_PX / _MOST
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {_FONT}>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{target_x}" y="22" text-anchor="middle" fill="#444">target</text>',
        f'<line x1="{target_x}" x2="{target_x}" y1="28" y2="{height - 8}" stroke="#444" stroke-dasharray="4 3"/>',
        *[line for n, (figure, share) in enumerate(rows) for line in _row(n, figure, share)],
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _row(number: int, figure: Figure, share: float) -> list[str]:
    y = _HEAD_PX + _ROW_PX * number
    length = max(2.0, min(share, _MOST) / _MOST * _PLOT_PX)
    colour = "#2a7f62" if share <= 1 else "#c0392b"
    what = escape(figure.what.replace("`", ""))
    value = escape(figure.measured.partition(" (")[0])
    halo = 'paint-order="stroke" stroke="#fff" stroke-width="4"'
    return [
        f'<text x="{_LABEL_PX - 8}" y="{y + 14}" text-anchor="end" fill="#222">{what}</text>',
        f'<rect x="{_LABEL_PX}" y="{y + 3}" width="{length:.1f}" height="15" fill="{colour}"/>',
        f'<text x="{_LABEL_PX + length + 4:.1f}" y="{y + 14}" fill="#444" {halo}>{value}</text>',
    ]
