"""`python -m tests.hostile [--cases N] [--seed N] [--only TEXT]`: hostile media through the real steps."""

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from processors.tools.sandbox import Isolation, Sandbox, detect
from tests.hostile.cases import Case, Materials
from tests.hostile.corpus import drawn, everything
from tests.hostile.run import report, run


def main() -> int:
    """Run it; 0 when everything holds. The seed is printed first: the same one runs the same cases."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile")
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--part", default="1/1", help="run only the first, second, … of so many parts, e.g. 2/3")
    parser.add_argument("--only", nargs="+", help="run every case with one of these in its name, drawn or not")
    parser.add_argument("--means", choices=[means.value for means in Isolation], help="instead of the best that works")
    parser.add_argument("--list", action="store_true", help="name all cases")
    asked = parser.parse_args()
    print(f"--seed {asked.seed} --cases {asked.cases}", flush=True)

    def choose(materials: Materials) -> list[Case]:
        if asked.only is None:
            part, parts = map(int, asked.part.split("/"))
            return drawn(materials, asked.cases, asked.seed)[part - 1 :: parts]
        return [case for case in everything(materials) if any(text in case.name for text in asked.only)]

    with tempfile.TemporaryDirectory(prefix="kinolog-hostile-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        sandbox = Sandbox(isolation=Isolation(asked.means)) if asked.means else asyncio.run(detect())
        (folder / "line").mkdir()
        verdicts, whole = asyncio.run(run(folder, sandbox, choose))
    return report(verdicts, whole)


if __name__ == "__main__":
    sys.exit(main())
