"""List queries: parameters of a list -> one SQL statement for a page, with keyset pagination. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, NamedTuple

import msgspec

from streams.ids import namespaced_id
from web.http.cursors import InvalidCursor, PageCursor, load
from web.http.problems import Problem

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
_MAX_QUERY_CHARS = 200
#: Sort orders of every list: parameter -> column.
SORTS = {"created_at": "created_at", "created": "created_at", "updated_at": "updated_at", "updated": "updated_at"}
#: Parameters of every list.
_COMMON = frozenset(
    {
        "limit",
        "cursor",
        "sort",
        "after",
        "q",
        "created_after",
        "created_before",
        "updated_after",
        "updated_before",
        "status",
    }
)


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters of every list."""

    #: Maximum number of results.
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    #: The next_cursor of the page before.
    cursor: str | None = None
    #: Sort order; with a leading "-" descending.
    sort: str = "-created_at"
    #: Only results with this text in their ids, file name, passthrough or error.
    q: Annotated[str, msgspec.Meta(max_length=_MAX_QUERY_CHARS)] | None = None
    #: Only results created after this time, ISO 8601 with a time zone.
    created_after: str | None = None
    #: Only results created before this time, ISO 8601 with a time zone.
    created_before: str | None = None
    #: Only results last changed after this time.
    updated_after: str | None = None
    #: Only results last changed before this time.
    updated_before: str | None = None
    #: Wait until the write of this cursor is visible.
    after: str | None = None


#: An SQL condition and its bound values.
Condition = tuple[str, tuple[object, ...]]


class ListSpec(NamedTuple):
    """The definition of a list: its table, filters and sort orders."""

    table: str
    statuses: frozenset[str]
    #: Columns with a parameter of the same name that they must equal.
    equals: frozenset[str]
    #: Sort order without "-" -> column.
    sorts: Mapping[str, str]
    #: Index with every column of sorts and filters but the words.
    covering_index: str | None = None
    #: Index of a filter that leaves few rows, by parameter.
    selective_indexes: Mapping[str, str] = {}
    #: Parameters that filter groups, not rows.
    group_parameters: frozenset[str] = frozenset()
    #: Conditions of further parameters.
    conditions: "Mapping[str, Callable[[str], Condition]]" = {}


class Listing(NamedTuple):
    """A parsed list query."""

    spec: ListSpec
    #: Conditions on rows; `words`: the text search, which no index covers.
    conditions: tuple[Condition, ...]
    words: Condition | None
    #: As requested, e.g. "-created_at".
    sort: str
    limit: int
    #: Values of the parameters in `spec.equals`.
    equals: dict[str, str]
    #: The part of `conditions` that is on groups; all of them select whole groups if `is_grouped`.
    groups: tuple[Condition, ...]
    #: Index to scan: SQLite chooses badly between that of the sort and that of a filter. None: SQLite's choice.
    scan_index: str | None

    @property
    def column(self) -> str:
        """The column that the list is sorted by."""
        return self.spec.sorts[self.sort.removeprefix("-")]

    @property
    def where(self) -> str:
        """All conditions as one."""
        return joined(self._parts)

    @property
    def args(self) -> tuple[object, ...]:
        """Bound values of `where`."""
        return bound_values(self._parts)

    @property
    def is_grouped(self) -> bool:
        """Whether a job matches if and only if its group does."""
        return self.words is None and len(self.conditions) == bool(self.groups)

    @property
    def source(self) -> str:
        """The table and the index to scan."""
        return self.spec.table if self.scan_index is None else f"{self.spec.table} INDEXED BY {self.scan_index}"

    def sql(self) -> str:
        """Statement for id, sort value and row of one row more than the page has; binds `args`."""
        source = f"{self.spec.table} NOT INDEXED" if self.words is not None and self._is_covered else self.source
        return self._page(f"SELECT n, id, {self.column} AS value FROM {source} WHERE {self.where}")  # noqa: S608

    def sample(self, most: int) -> tuple[str, tuple[object, ...]] | None:
        """The same for a text search in the first `most` rows only; None where that is of no use.

        Common words fill a page soon; for rare ones a scan of the index is slower than one of the table.
        """
        if self.words is None or not self._is_covered or self.column != "created_at":
            return None
        first = f"SELECT n, id, created_at AS value, words FROM {self.source} WHERE {joined(self.conditions)}"  # noqa: S608
        first += f" ORDER BY {self._by('created_at')} LIMIT {most}"
        condition, bound = self.words
        page = self._page(f"SELECT n, id, value FROM ({first}) WHERE {condition}")  # noqa: S608
        return page, (*bound_values(self.conditions), *bound)

    @property
    def _is_covered(self) -> bool:
        """Whether the index that is scanned lacks the words only."""
        return self.scan_index is not None and self.scan_index == self.spec.covering_index

    @property
    def _parts(self) -> tuple[Condition, ...]:
        return self.conditions if self.words is None else (*self.conditions, self.words)

    def _by(self, column: str) -> str:
        order = "DESC" if self.sort.startswith("-") else "ASC"
        return f"{column} {order}, id {order}"

    def _page(self, select: str) -> str:
        """The page first, then its rows: a scan never reads rows. Names are constants, values are bound."""
        rows, by = f"{self.spec.table.removesuffix('s')}_rows", self._by("value")
        page = f"{select} ORDER BY {by} LIMIT {self.limit + 1}"
        return f"SELECT id, value, row FROM ({page}) CROSS JOIN {rows} USING (n) ORDER BY {by}"  # noqa: S608


def joined(parts: Sequence[Condition]) -> str:
    """The conditions as one."""
    return " AND ".join(text for text, _ in parts) or "1"


def bound_values(parts: Sequence[Condition]) -> tuple[object, ...]:
    """Bound values of the conditions, in order."""
    return tuple(arg for _, some in parts for arg in some)


def of_groups(parts: Sequence[Condition]) -> Condition:
    """The condition on jobs that their group matches all of `parts`."""
    return f"g IN (SELECT g FROM groups WHERE {joined(parts)})", bound_values(parts)  # noqa: S608


def parse(query: Mapping[str, str], spec: ListSpec, owner: str | None) -> Listing:
    """Parse the parameters of a list of `owner`'s rows (None: all rows). Raises Problem (400)."""
    unknown = sorted(set(query) - _COMMON - spec.equals - spec.conditions.keys())
    if unknown:
        raise Problem(400, "unknown-parameter", f"unknown parameter {unknown[0][:50]!r}")
    sort = query.get("sort", "-created_at")
    if sort.removeprefix("-") not in spec.sorts:
        raise Problem(
            400,
            "invalid-sort",
            f"sort must be one of {', '.join(sorted(spec.sorts))}, '-' in front for descending",
        )
    equals = {name: query[name] for name in sorted(spec.equals & set(query))}
    parts = _statuses(query, spec) | {name: _equals(name, value, owner) for name, value in equals.items()}
    parts |= {name: condition(query[name]) for name, condition in spec.conditions.items() if name in query}
    if owner is not None:
        parts["scope"] = ("owner = ?", (owner,))
    grouped = [part for name, part in parts.items() if name in spec.group_parameters]
    conditions = [part for name, part in parts.items() if name not in spec.group_parameters]
    conditions += [*_times(query), *_after(query, spec, sort), *([of_groups(grouped)] if grouped else [])]
    scan_index = next((index for name, index in spec.selective_indexes.items() if name in query), spec.covering_index)
    return Listing(spec, tuple(conditions), _search(query), sort, _limit(query), equals, tuple(grouped), scan_index)


def _equals(column: str, value: str, owner: str | None) -> Condition:
    """An asset is found by its id, and by the id that its owner chose."""
    if column == "asset_id" and owner is not None:
        return "asset_id IN (?, ?)", (value, namespaced_id(owner, value))
    return f"{column} = ?", (value,)


def _statuses(query: Mapping[str, str], spec: ListSpec) -> dict[str, Condition]:
    if "status" not in query:
        return {}
    statuses = query["status"].split(",")
    for status in statuses:
        if status not in spec.statuses:
            raise Problem(
                400,
                "invalid-status",
                f"unknown status {status[:50]!r}: use {', '.join(sorted(spec.statuses))}",
            )
    return {"status": (f"status IN ({', '.join('?' * len(statuses))})", tuple(statuses))}


def _times(query: Mapping[str, str]) -> list[Condition]:
    signs = {"after": ">", "before": "<"}
    return [
        (f"{column}_at {sign} ?", (moment(name, query[name]),))
        for column in ("created", "updated")
        for side, sign in signs.items()
        if (name := f"{column}_{side}") in query
    ]


def moment(name: str, text: str) -> float:
    """Parse a time parameter; seconds since the epoch. Raises Problem (400)."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.timestamp()
    except (ValueError, OverflowError):
        pass  # refused below
    hint = "; encode + as %2B in a URL" if " " in text else ""
    raise Problem(400, "invalid-time", f"{name} must be an ISO 8601 time with a zone, e.g. 2026-01-31T12:00:00Z{hint}")


def _search(query: Mapping[str, str]) -> Condition | None:
    text = query.get("q", "").strip()
    if len(text) > _MAX_QUERY_CHARS:
        raise Problem(400, "invalid-query", f"q must have at most {_MAX_QUERY_CHARS} characters")
    return ("instr(words, ?) > 0", (text.casefold(),)) if text else None


def _after(query: Mapping[str, str], spec: ListSpec, sort: str) -> list[Condition]:
    if "cursor" not in query:
        return []
    cursor = load(query["cursor"], PageCursor)
    if cursor.sort != sort:
        raise InvalidCursor("this cursor belongs to a list with another sort order")
    sign = "<" if sort.startswith("-") else ">"
    return [(f"({spec.sorts[sort.removeprefix('-')]}, id) {sign} (?, ?)", (cursor.value, cursor.id))]


def _limit(query: Mapping[str, str]) -> int:
    text = query.get("limit", str(DEFAULT_LIMIT))
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise Problem(400, "invalid-limit", f"limit must be a number from 1 to {MAX_LIMIT}")
    return int(text)
