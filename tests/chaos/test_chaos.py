"""A short chaos run, as a process of its own because of its mounts. `make chaos` makes longer ones."""

import subprocess
import sys

#: Whoever looks for trouble takes another one; a test must say the same tomorrow.
_SEED, _SECONDS = 11, 45


def test_whatever_dies_every_job_ends_once_and_all_agree() -> None:
    command = [sys.executable, "-m", "tests.chaos.run", "--seed", str(_SEED), "--seconds", str(_SECONDS)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
