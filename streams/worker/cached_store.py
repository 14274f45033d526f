"""CachedStore: Faust's store of a table whose rows are in memory and in a cache of its changelog (tables/cache)."""

from collections.abc import Callable, Iterable
from typing import Any

import faust
from faust.stores.memory import Store
from faust.types import TP

from streams.worker.cached_changelog import Cached


class CachedStore(Store[bytes, bytes]):
    """Recovery goes on from what the cache has."""

    rows: Cached

    def apply_changelog_batch(
        self,
        batch: Iterable[Any],
        to_key: Callable[[Any], Any],  # noqa: ARG002 - Faust's signature
        to_value: Callable[[Any], Any],  # noqa: ARG002
    ) -> None:
        """Apply what the batched recovery has left over."""
        messages = [event.message for event in batch]
        self.rows.apply([(message.key, message.value, message.partition) for message in messages])

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Drop rows of partitions that were revoked from memory; in the cache they stay: it goes on from there when the
        partitions return.
        """
        if not self.rows.is_cached:
            await super().on_recovery_completed(active_tps, standby_tps)

    def persisted_offset(self, tp: TP) -> int | None:
        """The offset up to which the cache has every row."""
        position = self.rows.position(tp.partition)
        return position.offset if position is not None else None


def use_cache(app: faust.App, table: Any, rows: Cached) -> None:
    """Give `table` a store of `rows`. Its memory is that of the store that it had."""
    before, store = table.data, CachedStore("memory://", app, table)
    store.data, store._key_partition, store.rows = before.data, before._key_partition, rows
    table._data = store
