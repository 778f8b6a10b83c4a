"""By which index events are read. SQLite, without statistics, would take any that fits one condition.

A list is *gathered* where what one index holds of its conditions leaves few events: these are put in order. Else it is
*walked*: an index that has them in order is read until the page is full, past what doesn't fit. Indexes end with the
time or the score that they aren't ordered by, so that a long walk past these is within the index.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, and_, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from amiss.watch.store._tables import events

RARE = 5000  # events that are put in order at once


@dataclass(frozen=True)
class Condition:
    """What is asked of one column of `events`."""

    is_equal: bool
    """For one value, not for a range."""
    of: Callable[[ColumnElement[Any]], ColumnElement[bool]]
    """The condition, of the column or what stands for it."""


Conditions = Mapping[str, Condition]
"""By column; all must hold."""


@dataclass(frozen=True)
class Reading:
    """How events are read."""

    where: ColumnElement[bool]
    place: ColumnElement[Any]
    """The column that they are ordered by."""


class apart(FunctionElement[Any]):  # noqa: N801  # it reads like SQL's functions
    """A column, in which SQLite looks nothing up by an index."""

    inherit_cache = True

    def __init__(self, column: Column[Any]) -> None:
        super().__init__(column)
        self.type = column.type


@compiles(apart)
def _as_it_is(element: apart, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(apart, "sqlite")
def _with_plus(element: apart, compiler: SQLCompiler, **options: Any) -> str:
    return f"+{compiler.process(element.clauses, **options)}"


def plan_list(connection: Connection, conditions: Conditions, place: str) -> Reading:
    """How to read a list in the order of a column."""
    walked = max((_walk(index, conditions, place) for index in _INDEXES), key=len)
    for names in _gathers(conditions):
        if names <= walked:
            continue
        held = select(events.c.event_id).where(*_plain(conditions, names))
        if count_some(connection, held) < RARE:
            rest = _apart(conditions, conditions.keys() - names)
            return Reading(and_(events.c.event_id.in_(held), *rest), apart(events.c[place]))
    return Reading(_where(conditions, walked), events.c[place])


def plan_count(conditions: Conditions) -> Reading:
    """How to read events whose order doesn't matter."""
    indexed: frozenset[str] = max(_gathers(conditions), key=len, default=frozenset())
    return Reading(_where(conditions, indexed), events.c.started)


def count_some(connection: Connection, statement: Select[Any]) -> int:
    """How many rows it has, at most `RARE`."""
    return connection.scalar(select(func.count()).select_from(statement.limit(RARE).subquery())) or 0


_INDEXES = [tuple(column.name for column in index.columns) for index in events.indexes]


def _walk(index: tuple[str, ...], conditions: Conditions, place: str) -> frozenset[str]:
    """Which conditions bound a walk through an index in the order of a column; none where it isn't in that order."""
    before = index[: index.index(place)] if place in index else index
    if place not in index or not all(name in conditions and conditions[name].is_equal for name in before):
        return frozenset()
    return frozenset({*before, place} & conditions.keys())


def _gathers(conditions: Conditions) -> list[frozenset[str]]:
    """What single indexes hold of the conditions: values of their first columns, and a range of the next."""
    found = set()
    for index in _INDEXES:
        names = []
        for name in index:
            if name not in conditions:
                break
            names.append(name)
            if not conditions[name].is_equal:
                break
        found.add(frozenset(names))
    return sorted((one for one in found if one and not any(one < other for other in found)), key=sorted)


def _where(conditions: Conditions, indexed: frozenset[str]) -> ColumnElement[bool]:
    return and_(True, *_plain(conditions, indexed), *_apart(conditions, conditions.keys() - indexed))


def _plain(conditions: Conditions, names: frozenset[str]) -> list[ColumnElement[bool]]:
    return [conditions[name].of(events.c[name]) for name in sorted(names)]


def _apart(conditions: Conditions, names: set[str]) -> list[ColumnElement[bool]]:
    return [conditions[name].of(apart(events.c[name])) for name in sorted(names)]
