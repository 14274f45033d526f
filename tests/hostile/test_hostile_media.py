"""A part of the corpus, always the same: `make hostile` runs 500 cases of whatever seed."""

from pathlib import Path

from processors.media import containers
from processors.media.sniff import recognise
from processors.tools.sandbox import detect
from tests.hostile.cases import Case, Materials
from tests.hostile.corpus import drawn, everything
from tests.hostile.run import run, told
from tests.hostile.seeds import SEEDS, Seeds

_SEED, _CASES, _EVERY = 7, 500, 10


async def test_hostile_files_harm_nobody_and_are_told_what_is_wrong_with_them(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "line").mkdir()
    verdicts, whole = await run(tmp_path, await detect(), _few)
    assert whole == []
    assert [told(verdict) for verdict in verdicts if verdict.violations] == []
    assert {"completed", "corrupt-media", "unsupported-media"} <= {verdict.outcome.code for verdict in verdicts}


def test_every_container_that_is_accepted_has_a_seed(tmp_path: Path) -> None:
    seeds = Seeds(tmp_path)
    accepted = {item for item in vars(containers).values() if isinstance(item, containers.Container)}
    (tmp_path / "file").touch()
    recognised = set()
    for name in SEEDS:
        (tmp_path / "file").write_bytes(seeds[name])
        recognised.add(recognise(tmp_path / "file"))
    assert recognised == accepted


def _few(materials: Materials) -> list[Case]:
    names = [case.name for case in everything(materials)]
    assert len(names) == len(set(names)) > _CASES
    return drawn(materials, _CASES, _SEED)[::_EVERY]
