"""The run directory, `<data_dir>/run`: lock, URL, PIDs and token of the `kinolog up` with this data directory."""

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from streams.process.files import write_atomically
from streams.process.locks import Locked, is_locked, lock
from streams.settings import Settings
from streams.supervisor.restarts import ExitHistory

_LOCK = "up.lock"


class AlreadyUp(Exception):
    """Another `kinolog up` runs with this data directory."""

    exit_code = 2


def run_dir(settings: Settings) -> Path:
    """The folder; it may not exist yet."""
    return settings.data_path / "run"


@contextlib.contextmanager
def only_one(settings: Settings) -> Iterator[None]:
    """Hold the data directory's lock. Raises AlreadyUp when another process holds it."""
    folder = run_dir(settings)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        held = lock(folder / _LOCK)
    except Locked as error:
        raise AlreadyUp(
            f"Already running with this data directory (PID {error.pid or 'unknown'}). "
            "Stop it, or choose another KINOLOG_DATA_DIR."
        ) from error
    with held:
        yield


def is_up(settings: Settings) -> bool:
    """Whether a `kinolog up` runs with this data directory."""
    return is_locked(run_dir(settings) / _LOCK)


def kept_token(settings: Settings) -> str | None:
    """The token that an earlier `up` saved, or None."""
    try:
        return (run_dir(settings) / "token").read_text().strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None


def token_for(settings: Settings) -> str:
    """The admin token: the configured one, else the saved one, else a new one. Saved with access for its owner only."""
    token = settings.auth.token or kept_token(settings) or secrets.token_urlsafe(24)
    _write(run_dir(settings) / "token", token)
    return token


def kept_url(settings: Settings) -> str | None:
    """The saved URL of the web interface, or None."""
    try:
        return (run_dir(settings) / "url").read_text().strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None


def web_url(settings: Settings) -> str:
    """URL of the web interface, from this machine."""
    host = settings.web.host
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104  read, not bound
    return f"http://{host}:{settings.web.port}"


def announce(settings: Settings, url: str) -> None:
    """Save the URL of the web interface, for the CLI in another terminal."""
    _write(run_dir(settings) / "url", url)


def write_pids(settings: Settings, pids: Mapping[str, int]) -> None:
    """Save the process ids; they change when a part is restarted."""
    _write(run_dir(settings) / "pids.json", json.dumps(dict(pids)))


def write_ends(settings: Settings, ends: Mapping[str, ExitHistory]) -> None:
    """Save the unexpected exits of parts."""
    _write(run_dir(settings) / "ends.json", json.dumps({name: history._asdict() for name, history in ends.items()}))


def kept_ends(settings: Settings) -> dict[str, ExitHistory]:
    """Unexpected exits of parts of the running `up`; empty if none runs."""
    try:
        kept = json.loads((run_dir(settings) / "ends.json").read_text())
    except (OSError, ValueError):
        return {}
    return {name: ExitHistory(**history) for name, history in kept.items()}


def forget_run(settings: Settings) -> None:
    """Remove the files of this run; the token is kept for the next one."""
    for name in ("url", "pids.json", "ends.json"):
        (run_dir(settings) / name).unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    write_atomically(path, text + "\n", 0o600)
