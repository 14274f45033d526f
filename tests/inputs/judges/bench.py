"""All judges together."""

from collections.abc import Iterator

from tests.inputs.expected import Plays, Refused
from tests.inputs.judges import colour, outcome, picture, playlist, sound, stills, text
from tests.inputs.judges.findings import Finding
from tests.inputs.observed import Observed

_JUDGES = (
    outcome.steps,
    outcome.duration,
    outcome.named_outputs,
    outcome.warnings,
    picture.frames,
    picture.sync,
    sound.content,
    sound.loudness,
    colour.colours,
    stills.stills,
    playlist.playlists,
    text.speech,
    text.cues,
)


def judged(expected: Plays | Refused, observed: Observed) -> Iterator[Finding]:
    """The findings of every judge, in the order of the table."""
    if isinstance(expected, Refused):
        yield from outcome.refusal(expected, observed)
        return
    if observed.endings["probe"].error is not None:
        if expected.or_refused_as:
            yield from outcome.refusal(Refused(code="unsupported-media", patterns=expected.or_refused_as), observed)
        else:
            yield from outcome.steps(expected, observed)
        return
    for judge in _JUDGES:
        yield from judge(expected, observed)
