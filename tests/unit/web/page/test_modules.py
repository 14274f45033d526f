"""The page's modules: each parses, imports only what exists, and its pure parts pass their tests in node."""

import re
import subprocess
from pathlib import Path

import pytest

from web.api.ui import STATIC
from web.http.encoded_files import _encoded

_FOLDER = Path(__file__).parent
_MODULES = sorted(path for path in STATIC.rglob("*.js") if "vendor" not in path.parts)
_IMPORT = re.compile(r'import \{([^}]+)\} from "(\.\.?/[\w./]+\.js)"')
_STATIC_IMPORT = re.compile(r"""from "(\.\.?/[\w./-]+\.js)\"""")
_ANY_IMPORT = re.compile(r"""(?:from |import\()"(\.\.?/[\w./-]+\.js)\"""")
_MOST_BYTES = 150_000
#: As they are transferred: of the first view, and of all views.
_MOST_FIRST, _MOST_ALL = 60_000, 100_000
_EXPORT = re.compile(r"export (?:async )?(?:const|function|class) (\w+)")
#: For pages that are rendered on a server, where there is no document.
_FOR_SERVERS = ("kinolog.js", "elements.js")


@pytest.mark.parametrize("name", sorted(path.name for path in _FOLDER.glob("*.test.mjs")))
def test_page_module(name: str) -> None:
    _node("--test", str(_FOLDER / name))


@pytest.mark.parametrize("module", _MODULES, ids=lambda path: str(path.relative_to(STATIC)))
def test_a_module_parses(module: Path) -> None:
    _node("--input-type=module", "--check", text=module.read_text())


@pytest.mark.parametrize("module", _MODULES, ids=lambda path: str(path.relative_to(STATIC)))
def test_a_module_imports_what_exists(module: Path) -> None:
    for names, source in _IMPORT.findall(module.read_text()):
        exported = set(_EXPORT.findall((module.parent / source).read_text()))
        assert {name.strip() for name in names.split(",") if name.strip()} <= exported


def test_the_page_stays_small() -> None:
    """Own script, each module compressed as the server sends it: of the first view, and of all views."""
    first, every = _loaded(_STATIC_IMPORT), _loaded(_ANY_IMPORT)
    assert STATIC / "views" / "overview.js" in every - first
    assert sum(module.stat().st_size for module in first) < _MOST_BYTES
    assert _transferred(first) < _MOST_FIRST
    assert _transferred(every) < _MOST_ALL


def _transferred(modules: set[Path]) -> int:
    return sum(len(_encoded(module, 0, "br")) for module in modules)


def _loaded(imports: re.Pattern[str], entry: Path = STATIC / "app.js") -> set[Path]:
    """The modules that an entry point needs, directly or not; by default that of the page."""
    seen, pending = set[Path](), [entry]
    while pending:
        module = pending.pop()
        if module not in seen:
            seen.add(module)
            pending += [(module.parent / source).resolve() for source in imports.findall(module.read_text())]
    return seen


@pytest.mark.parametrize("module", _FOR_SERVERS)
def test_a_module_for_other_sites_loads_where_there_is_no_document(module: str) -> None:
    _node("--input-type=module", "--eval", f"await import({str(STATIC / module)!r})")


def _node(*arguments: str, text: str | None = None) -> None:
    command = ["node", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, input=text)
    assert done.returncode == 0, done.stdout + done.stderr
