"""The keys that sign media URLs: those of the settings, and those derived from them at each rotation.

The log has ids and times of keys, never a key. A key is revoked by its row. One that no longer signs is accepted until
the last URL that it signed has expired.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from schemas.access import SigningKeyRow
from streams.ids import new_id
from web.auth.access_log import AccessLog
from web.auth.access_rows import KEY_PREFIX
from web.http.problems import Problem, not_found, unavailable

#: Rows of keys that ended so long ago are removed, seconds.
_KEPT_S = 30 * 86_400
#: Keys that may be kept, ended ones included.
_MAX_KEYS = 100
#: Each replica makes a key from its own clock, and signs for a moment longer than the log says.
_SLACK_S = 3600.0

#: Least difference between the times of two keys, seconds.
_TICK_S = 0.001

KeyStatus = Literal["signing", "accepted", "expired", "revoked"]


class KeyState(NamedTuple):
    """A key as of now, without the key itself."""

    row: SigningKeyRow
    status: KeyStatus
    #: Until when its URLs are accepted; None: it signs, or it is revoked.
    accepted_until: float | None
    #: Whether it is one of the settings, or of the file.
    configured: bool


class SigningKeys:
    """The keys of all replicas."""

    def __init__(self, log: AccessLog, configured: Sequence[bytes], max_ttl_s: float) -> None:
        """`configured`: the current secret first, then earlier ones. `max_ttl_s`: longest validity of a URL."""
        self._log, self._configured = log, tuple(configured)
        self._own_ids = [_own_id(key) for key in self._configured]
        self._accepted_s = max_ttl_s + _SLACK_S

    def current(self, now: float) -> tuple[bytes, ...]:
        """Keys whose URLs are accepted, the one that signs first. Raises Problem (503) until the log was read."""
        if not self._log.caught_up.is_set():
            raise unavailable("not-ready", "the signing keys are still being read from the log: try again", 1)
        states = self.states(now)
        active = sorted(
            (state for state in states if state.status in ("signing", "accepted")),
            key=lambda state: state.status != "signing",
        )
        return tuple(dict.fromkeys(key for state in active for key in self._keys(state)))

    def states(self, now: float) -> list[KeyState]:
        """All keys, the newest first; those of the settings come last."""
        rows = self._log.state.keys
        made = sorted((row for row in rows.values() if row.created_at is not None), key=_age)
        own = [rows.get(an_id) or SigningKeyRow(id=an_id) for an_id in self._own_ids]
        signing = next((row.id for row in [*made, *own] if row.revoked_at is None), None)
        states: list[KeyState] = []
        superseded_at: float | None = None
        for row in made:
            states.append(self._state(row, signing, superseded_at, now, configured=False))
            superseded_at = row.created_at
        return states + [self._state(row, signing, superseded_at, now, configured=True) for row in own]

    def _state(
        self, row: SigningKeyRow, signing: str | None, superseded_at: float | None, now: float, *, configured: bool
    ) -> KeyState:
        if row.revoked_at is not None:
            return KeyState(row, "revoked", None, configured)
        if row.id == signing or superseded_at is None:
            return KeyState(row, "signing" if row.id == signing else "accepted", None, configured)
        until = superseded_at + self._accepted_s
        return KeyState(row, "accepted" if now < until else "expired", until, configured)

    def _keys(self, state: KeyState) -> list[bytes]:
        if state.configured:
            return [self._configured[self._own_ids.index(state.row.id)]]
        return [hmac.digest(key, f"signing key {state.row.id}".encode(), hashlib.sha256) for key in self._configured]

    async def rotate(self, now: float, created_by: str) -> KeyState:
        """Make a key that signs from now on, on every replica. Raises Problem (409, 503)."""
        self.current(now)  # the log was read
        await self._remove_old(now)
        if len(self._log.state.keys) >= _MAX_KEYS:
            detail = f"{_MAX_KEYS} keys were made or revoked within 30 days, and more are not kept"
            raise Problem(409, "too-many-keys", detail)
        latest = max((row.created_at or 0.0 for row in self._log.state.keys.values()), default=0.0)
        # Later than every other, also than one that a clock ahead has dated: the latest key signs.
        row = SigningKeyRow(id=new_id(KEY_PREFIX), created_at=max(now, latest + _TICK_S), created_by=created_by)
        await self._write(row)
        return self._find(row.id, now)

    async def revoke(self, key_id: str, now: float, revoked_by: str) -> KeyState:
        """Reject all URLs of a key, on every replica; when it signs, another is made first. A repeat is harmless.

        Raises Problem (404, 409, 503).
        """
        self.current(now)
        state = self._find(key_id, now)
        if state.status == "signing":
            await self.rotate(now, revoked_by)
        if state.status != "revoked":
            await self._write(replace(state.row, revoked_at=now, revoked_by=revoked_by))
        return self._find(key_id, now)

    def _find(self, key_id: str, now: float) -> KeyState:
        for state in self.states(now):
            if state.row.id == key_id:
                return state
        raise not_found("key")

    async def _remove_old(self, now: float) -> None:
        """Tombstones for keys of earlier rotations that ended long ago: what has no row is not accepted either."""
        for state in self.states(now):
            ended_at = state.row.revoked_at or (state.accepted_until if state.status == "expired" else None)
            if ended_at is not None and ended_at + _KEPT_S < now and not state.configured:
                await self._log.write(state.row.id, None)

    async def _write(self, row: SigningKeyRow) -> None:
        await self._log.write(row.id, msgspec.json.encode(row))


def _age(row: SigningKeyRow) -> tuple[float, str]:
    return -(row.created_at or 0.0), row.id


def _own_id(key: bytes) -> str:
    """Id of a key of the settings, the same on every replica."""
    return f"{KEY_PREFIX}_{hmac.digest(key, b'id', hashlib.sha256).hex()[:24]}"
