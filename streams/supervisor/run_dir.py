"""`<data_dir>/run`: who runs over this data dir, where it is found, and the token that `up` made."""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from streams.settings import Settings
from streams.supervisor.restarts import ExitHistory


class AlreadyUp(Exception):
    """Another `kinolog up` runs over this data dir."""

    exit_code = 2


def run_dir(settings: Settings) -> Path:
    """The folder; it may not exist yet."""
    return settings.data_path / "run"


@contextlib.contextmanager
def only_one(settings: Settings) -> Iterator[None]:
    """Hold the data dir. Raises AlreadyUp at once when somebody else does. The kernel gives it back when we die."""
    folder = run_dir(settings)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "up.lock").open("a+") as lock:
        _lock(lock, settings)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _lock(lock: IO[str], settings: Settings) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        raise AlreadyUp(
            f"kinolog up runs already over {settings.data_path} (process {lock.read().strip() or '?'}): "
            "end it, or set another KINOLOG_DATA_DIR"
        ) from None


def is_up(settings: Settings) -> bool:
    """Whether a `kinolog up` runs over this data dir."""
    try:
        with (run_dir(settings) / "up.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (FileNotFoundError, NotADirectoryError):
        return False
    return False


def kept_token(settings: Settings) -> str | None:
    """The token of an earlier `up`, or None."""
    try:
        return (run_dir(settings) / "token").read_text().strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None


def token_for(settings: Settings) -> str:
    """The admin token: the fixed one, else that of an earlier `up`, else a new one. Kept readable to its owner only."""
    token = settings.auth.token or kept_token(settings) or secrets.token_urlsafe(24)
    _write(run_dir(settings) / "token", token)
    return token


def kept_url(settings: Settings) -> str | None:
    """Where the `up` over this data dir was last found, or None."""
    try:
        return (run_dir(settings) / "url").read_text().strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None


def web_url(settings: Settings) -> str:
    """Where the web interface answers, seen from this machine."""
    host = settings.web.host
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104  read, not bound
    return f"http://{host}:{settings.web.port}"


def announce(settings: Settings, url: str) -> None:
    """Say where the web interface is, for the CLI in another terminal."""
    _write(run_dir(settings) / "url", url)


def write_pids(settings: Settings, pids: Mapping[str, int]) -> None:
    """Say which processes run now; they change when a part is restarted."""
    _write(run_dir(settings) / "pids.json", json.dumps(dict(pids)))


def write_ends(settings: Settings, ends: Mapping[str, ExitHistory]) -> None:
    """Say which parts have ended by themselves, and how."""
    _write(run_dir(settings) / "ends.json", json.dumps({name: found._asdict() for name, found in ends.items()}))


def kept_ends(settings: Settings) -> dict[str, ExitHistory]:
    """Parts of the `up` over this data dir that have ended by themselves; empty where there is no `up`."""
    try:
        kept = json.loads((run_dir(settings) / "ends.json").read_text())
    except (OSError, ValueError):
        return {}
    return {name: ExitHistory(**found) for name, found in kept.items()}


def forget_run(settings: Settings) -> None:
    """Remove what is true only while `up` runs; the token stays for the next time."""
    for name in ("url", "pids.json", "ends.json"):
        (run_dir(settings) / name).unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and never readable to others, not even for a moment."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    beside.touch(0o600, exist_ok=False)
    beside.write_text(text + "\n")
    beside.replace(path)
