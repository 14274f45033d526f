"""Query parameters -> one SQL statement for a page, by keyset: stable while rows change. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, NamedTuple

import msgspec

from web.http.cursors import InvalidCursor, PageCursor, load
from web.http.problems import Problem

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
_MAX_QUERY_CHARS = 200
#: Sorts that every list has.
SORTS = {"created_at": "created_at", "created": "created_at", "updated_at": "updated_at", "updated": "updated_at"}
#: Parameters that every list has.
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
    """What every list can be asked for."""

    #: At most so many.
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    #: Go on where a page ended: its next_cursor.
    cursor: str | None = None
    #: What the list is sorted by, with "-" in front for descending.
    sort: str = "-created_at"
    #: Only what has this text in its names, ids, passthrough or error.
    q: Annotated[str, msgspec.Meta(max_length=_MAX_QUERY_CHARS)] | None = None
    #: Only what was created after this time, ISO 8601 with a zone.
    created_after: str | None = None
    #: Only what was created before this time, ISO 8601 with a zone.
    created_before: str | None = None
    #: Only what last changed after this time.
    updated_after: str | None = None
    #: Only what last changed before this time.
    updated_before: str | None = None
    #: Wait until the write of this cursor is visible here.
    after: str | None = None


#: An SQL condition and what is bound in it.
Part = tuple[str, tuple[object, ...]]


class ListSpec(NamedTuple):
    """What is listed."""

    table: str
    statuses: frozenset[str]
    #: Columns that a parameter of the same name must equal.
    equals: frozenset[str]
    #: What `sort` may say, without "-": the column that it means.
    sorts: Mapping[str, str]
    #: Index that holds every column which is sorted or filtered by, but for the words.
    narrow: str | None = None
    #: Index of a filter that leaves few rows, by its parameter.
    few: Mapping[str, str] = {}
    #: Parameters that speak of groups, not of rows.
    grouped: frozenset[str] = frozenset()
    #: Further parameters: how each becomes a condition.
    further: "Mapping[str, Callable[[str], Part]]" = {}


class Listing(NamedTuple):
    """A query that was understood."""

    kind: ListSpec
    #: What a row must be; `words`: what must stand in it, which no index knows.
    conditions: tuple[Part, ...]
    words: Part | None
    #: As asked for, e.g. "-created_at".
    sort: str
    limit: int
    #: Values of the parameters in `kind.equals`.
    equals: dict[str, str]
    #: Index to walk: SQLite guesses badly between a sort's and a filter's. None: it may choose.
    walk: str | None

    @property
    def column(self) -> str:
        """What it is sorted by."""
        return self.kind.sorts[self.sort.removeprefix("-")]

    @property
    def where(self) -> str:
        """The conditions as one."""
        return _joined(self._parts)

    @property
    def args(self) -> tuple[object, ...]:
        """What is bound in `where`."""
        return _bound(self._parts)

    @property
    def source(self) -> str:
        """The table, and how to walk it when the order is that of its creation."""
        return self.kind.table if self.walk is None else f"{self.kind.table} INDEXED BY {self.walk}"

    def sql(self) -> str:
        """id, sorted value and row of one row more than the page has; binds `args`."""
        source = f"{self.kind.table} NOT INDEXED" if self.words is not None and self._is_narrow else self.source
        return self._page(f"SELECT n, id, {self.column} AS value FROM {source} WHERE {self.where}")  # noqa: S608

    def glance(self, most: int) -> tuple[str, tuple[object, ...]] | None:
        """The same, of the first `most` rows only in which the words may stand; None where that is of no use.

        Common words fill a page soon; for rare ones a walk of the index is slower than one of the table.
        """
        if self.words is None or not self._is_narrow or self.column != "created_at":
            return None
        first = f"SELECT n, id, created_at AS value, words FROM {self.source} WHERE {_joined(self.conditions)}"  # noqa: S608
        first += f" ORDER BY {self._by('created_at')} LIMIT {most}"
        condition, bound = self.words
        page = self._page(f"SELECT n, id, value FROM ({first}) WHERE {condition}")  # noqa: S608
        return page, (*_bound(self.conditions), *bound)

    @property
    def _is_narrow(self) -> bool:
        """Whether the index that is walked lacks the words only."""
        return self.walk is not None and self.walk == self.kind.narrow

    @property
    def _parts(self) -> tuple[Part, ...]:
        return self.conditions if self.words is None else (*self.conditions, self.words)

    def _by(self, column: str) -> str:
        order = "DESC" if self.sort.startswith("-") else "ASC"
        return f"{column} {order}, id {order}"

    def _page(self, found: str) -> str:
        """The page first, its rows then: a walk never touches the rows. Names are ours, values are bound."""
        rows, by = f"{self.kind.table.removesuffix('s')}_rows", self._by("value")
        page = f"{found} ORDER BY {by} LIMIT {self.limit + 1}"
        return f"SELECT id, value, row FROM ({page}) CROSS JOIN {rows} USING (n) ORDER BY {by}"  # noqa: S608


def _joined(parts: Sequence[Part]) -> str:
    return " AND ".join(text for text, _ in parts) or "1"


def _bound(parts: Sequence[Part]) -> tuple[object, ...]:
    return tuple(arg for _, some in parts for arg in some)


def of_groups(parts: Sequence[Part]) -> Part:
    """Jobs of the groups that `parts` find."""
    return f"g IN (SELECT g FROM groups WHERE {_joined(parts)})", _bound(parts)  # noqa: S608


def parse(query: Mapping[str, str], kind: ListSpec, owner: str | None) -> Listing:
    """The listing that `query` asks for, of what belongs to `owner` (None: everybody). Raises Problem (400)."""
    unknown = sorted(set(query) - _COMMON - kind.equals - kind.further.keys())
    if unknown:
        raise Problem(400, "unknown-parameter", f"there is no parameter {unknown[0][:50]!r} here")
    sort = query.get("sort", "-created_at")
    if sort.removeprefix("-") not in kind.sorts:
        raise Problem(
            400, "invalid-sort", f"sort is one of {', '.join(sorted(kind.sorts))}, with '-' in front for descending"
        )
    equals = {name: query[name] for name in sorted(kind.equals & set(query))}
    parts = _statuses(query, kind) | {name: (f"{name} = ?", (value,)) for name, value in equals.items()}
    parts |= {name: condition(query[name]) for name, condition in kind.further.items() if name in query}
    if owner is not None:
        parts["scope"] = ("owner = ?", (owner,))
    grouped = [part for name, part in parts.items() if name in kind.grouped]
    conditions = [part for name, part in parts.items() if name not in kind.grouped]
    conditions += [*_times(query), *_after(query, kind, sort), *([of_groups(grouped)] if grouped else [])]
    walk = next((index for name, index in kind.few.items() if name in query), kind.narrow)
    return Listing(kind, tuple(conditions), _search(query), sort, _limit(query), equals, walk)


def _statuses(query: Mapping[str, str], kind: ListSpec) -> dict[str, Part]:
    if "status" not in query:
        return {}
    wanted = query["status"].split(",")
    for status in wanted:
        if status not in kind.statuses:
            raise Problem(
                400,
                "invalid-status",
                f"there is no status {status[:50]!r}; there are {', '.join(sorted(kind.statuses))}",
            )
    return {"status": (f"status IN ({', '.join('?' * len(wanted))})", tuple(wanted))}


def _times(query: Mapping[str, str]) -> list[Part]:
    signs = {"after": ">", "before": "<"}
    return [
        (f"{column}_at {sign} ?", (moment(name, query[name]),))
        for column in ("created", "updated")
        for side, sign in signs.items()
        if (name := f"{column}_{side}") in query
    ]


def moment(name: str, text: str) -> float:
    """A time that a parameter gives, seconds since the epoch. Raises Problem (400)."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.timestamp()
    except (ValueError, OverflowError):
        pass  # told below, with what is expected
    hint = "; in an address a + is written %2B" if " " in text else ""
    raise Problem(400, "invalid-time", f"{name} is a time in ISO 8601 with a zone, e.g. 2026-01-31T12:00:00Z{hint}")


def _search(query: Mapping[str, str]) -> Part | None:
    text = query.get("q", "").strip()
    if len(text) > _MAX_QUERY_CHARS:
        raise Problem(400, "invalid-query", f"q is longer than {_MAX_QUERY_CHARS} characters")
    return ("instr(words, ?) > 0", (text.casefold(),)) if text else None


def _after(query: Mapping[str, str], kind: ListSpec, sort: str) -> list[Part]:
    if "cursor" not in query:
        return []
    cursor = load(query["cursor"], PageCursor)
    if cursor.sort != sort:
        raise InvalidCursor("the cursor is of a list with another sort")
    sign = "<" if sort.startswith("-") else ">"
    return [(f"({kind.sorts[sort.removeprefix('-')]}, id) {sign} (?, ?)", (cursor.value, cursor.id))]


def _limit(query: Mapping[str, str]) -> int:
    text = query.get("limit", str(DEFAULT_LIMIT))
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise Problem(400, "invalid-limit", f"limit is a number from 1 to {MAX_LIMIT}")
    return int(text)
