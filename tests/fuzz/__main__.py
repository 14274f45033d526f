"""`python -m tests.fuzz [TARGET …] [--seconds N]`: coverage-guided fuzzing of the decoders, one process a target.

What breaks one is kept in tests/fuzz/seeds, where the unit tests find it; what only reaches further, in the corpus.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.targets import TARGETS

_SEEDS = Path(__file__).parent / "seeds"
#: Longest input; what breaks on more has seeds of its own.
_MAX_BYTES = 4096
#: One input that takes longer is a finding.
_STUCK_S = 10
_MEMORY_MB = 2048


def main() -> int:
    """Fuzz each target for so many seconds; 0 when nothing broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--seconds", type=int, default=20, help="for each target")
    parser.add_argument("--corpus", type=Path, help="where what reaches further is kept for the next time")
    asked = parser.parse_args()
    if unknown := set(asked.targets) - TARGETS.keys():
        parser.error(f"there is no target {min(unknown)}")
    with tempfile.TemporaryDirectory(prefix="kinolog-corpus-") as folder:
        corpus = asked.corpus or Path(folder)
        broken = [name for name in asked.targets or TARGETS if not _holds(name, corpus / name, asked.seconds)]
    print(f"{len(broken)} broken: {', '.join(broken)}" if broken else "nothing broke")
    return 1 if broken else 0


def _holds(name: str, corpus: Path, seconds: int) -> bool:
    corpus.mkdir(parents=True, exist_ok=True)
    options = {
        "max_total_time": seconds,
        "max_len": _MAX_BYTES,
        "timeout": _STUCK_S,
        "rss_limit_mb": _MEMORY_MB,
        "artifact_prefix": f"{_SEEDS / name}/",
        "print_final_stats": 1,
        "verbosity": 0,
    }
    libfuzzer = [f"-{option}={value}" for option, value in options.items()]
    argv = [sys.executable, "-m", "tests.fuzz.worker", name, *libfuzzer, str(corpus), str(_SEEDS / name)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds * 2 + 120, check=False)
    said = done.stdout + done.stderr
    runs = next((line.split()[-1] for line in said.splitlines() if "number_of_executed_units" in line), "?")
    print(f"{name}: {runs} runs, {'holds' if done.returncode == 0 else 'BROKEN'}", flush=True)
    if done.returncode:
        print(said[-4000:])
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
