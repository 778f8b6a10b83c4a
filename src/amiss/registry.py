"""Registry: names → things of one kind, each imported only when it is asked for."""

import difflib
import importlib
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from amiss.errors import UsageError, showable

T = TypeVar("T")
_LONGEST_NAME = 80  # characters of a name that messages repeat


class Registry(Generic[T]):
    """Things of one kind by name: those that amiss has, then those of installed packages.

    A built-in one is one line of the table: the thing itself, or where it is, as `"module:attribute"`. Another package
    adds one by an entry point, without touching amiss; it can't take the name of a built-in one.
    """

    def __init__(
        self,
        kind: str,
        table: Mapping[str, T | str] | Callable[[], Mapping[str, T | str]],
        *,
        group: str | None = None,
        entry_type: type = object,
        listed_by: str | None = None,
    ) -> None:
        """Nothing is imported yet.

        Args:
            kind: what one of them is called in messages: `backbone`.
            table: name → thing or `"module:attribute"`; or a function that gives it, called at each use.
            group: of entry points; None = other packages can't add any.
            entry_type: what an entry point must give.
            listed_by: command that lists the names, for messages; None = messages list them.
        """
        self.kind = kind
        self.group = group
        self._table = table
        self._entry_type = entry_type
        self._listed_by = listed_by

    @property
    def built_in(self) -> Mapping[str, T | str]:
        """The table."""
        return self._table if isinstance(self._table, Mapping) else self._table()

    def names(self) -> list[str]:
        """All names: the table's in its order, then those of entry points, sorted."""
        return [*self.built_in, *sorted(self._entry_points())]

    def __contains__(self, name: object) -> bool:
        return name in self.built_in or name in self._entry_points()

    def __getitem__(self, name: str) -> T:
        """What has a name.

        Raises:
            UsageError: nothing has it (the closest names are suggested), or the package that has it doesn't load.
        """
        if name in self.built_in:
            found = self.built_in[name]
            return _load(found) if isinstance(found, str) else found
        points = self._entry_points()
        if name in points:
            return self._from(points[name])
        raise UsageError(self.unknown(name))

    def items(self) -> Iterator[tuple[str, T]]:
        """All names, in the order of `names`, and what has each. What doesn't load is left out with a warning."""
        yield from ((name, self[name]) for name in self.built_in)
        for name, point in sorted(self._entry_points().items()):
            try:
                yield name, self._from(point)
            except UsageError as error:
                warnings.warn(f"{error}. It is left out", stacklevel=3)

    def unknown(self, name: str) -> str:
        """The message for a name that nothing has."""
        names = self.names()
        hint = did_you_mean(name, names)
        given = showable(repr(name), _LONGEST_NAME)
        if self._listed_by is None:
            return f"unknown {self.kind} {given}. {hint}Known are {names}"
        return f"unknown {self.kind} {given}. {hint or f'`{self._listed_by}` lists them'}".rstrip()

    def _entry_points(self) -> dict[str, EntryPoint]:
        if self.group is None:
            return {}
        points = _entry_points_of(self.group, tuple(sys.path))
        return {point.name: point for point in points if point.name not in self.built_in}

    def _from(self, point: EntryPoint) -> T:
        try:
            found: T = point.load()
        except Exception as error:  # a third party's module raises what it likes
            raise UsageError(
                f"{self.kind} {point.name!r} of entry point {point.value} doesn't load "
                f"({type(error).__name__}: {error}): update or uninstall its package"
            ) from error
        if not isinstance(found, self._entry_type):
            wanted = self._entry_type.__name__
            raise UsageError(f"entry point {point.name!r} of {self.group} is {found!r}, not a {wanted}")
        return found


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`"Did you mean 'rtfm'? "` for a name that may be meant, or several; empty where none is close."""
    close = closest(name, known)
    return f"Did you mean {' or '.join(map(repr, close))}? " if close else ""


def closest(name: str, known: Iterable[str]) -> list[str]:
    """Up to three names that may be meant: as papers spell them (`I3D`, `R3D-18`), mistyped, or only begun."""
    ours = {_spelt(one): one for one in known}
    given = _spelt(name)
    close = difflib.get_close_matches(given, ours, n=3)
    begun = [one for one in ours if given and one.startswith(given)]
    return [ours[one] for one in close or begun[:3]]


def _spelt(name: str) -> str:
    return name.casefold().replace("-", "_")


@lru_cache(maxsize=64)
def _entry_points_of(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Of all packages on a `sys.path`: to look through them takes long."""
    return tuple(entry_points(group=group))


def _load(where: str) -> Any:
    module, _, attribute = where.partition(":")
    return getattr(importlib.import_module(module), attribute)
