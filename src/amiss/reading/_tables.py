"""Tables with a header, as people, pandas, Excel and Windows write them."""

import csv
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from amiss.reading._files import ReadError, read_text
from amiss.reading._values import shown

_DELIMITERS = (",", ";", "\t")
_STATED = re.compile(r'"?sep=(.)"?', re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """A row of a table."""

    line: int
    """Where it ends in the file, from 1."""
    cells: dict[str, str]
    """Text by column, without spaces around it."""


@dataclass(frozen=True)
class Table:
    """A table whose columns have names."""

    columns: tuple[str, ...]
    """In small letters, spaces as `_`; an index that nobody named is left out."""
    rows: tuple[Row, ...]
    """Those that aren't empty."""
    line: int = 1
    """Of the header."""

    def check_columns(self, required: Sequence[str], known: Sequence[str] | None = None) -> None:
        """Refuse a table that lacks a column, or has one that isn't known.

        Raises:
            ReadError: says which.
        """
        if missing := [name for name in required if name not in self.columns]:
            raise ReadError(
                f"line {self.line}: columns {missing} are missing; the header must name {list(required)}, and names "
                f"{shown(list(self.columns), most=200)}"
            )
        if known is not None and (unknown := [name for name in self.columns if name not in known]):
            raise ReadError(f"line {self.line}: unknown columns {shown(unknown, most=200)}; known are {list(known)}")


def read_table(path: str | os.PathLike[str], name: str = "video_id") -> Table:
    """Read a table: separated by commas, semicolons or tabs (also after Excel's `sep=;`), with a header.

    Args:
        path: of the file.
        name: a column by which the header is recognised, whatever separates it.

    Raises:
        ReadError: unreadable, or a row has another number of values than the header; names the line.
    """
    above, columns, below = _open(read_text(path), name)
    rows = []
    for line, cells in below:
        if not any(cells):
            continue
        if any(cells[len(columns) :]) or len(cells) < len(columns):
            raise ReadError(f"line {line}: {len(cells)} values for {len(columns)} columns")
        rows.append((line, cells))
    named = {i: column for i, column in enumerate(columns) if column}
    for i in range(len(columns)):
        if i not in named and not _is_index(i, [cells[i] for _, cells in rows]):
            raise ReadError(f"line {above + 1}: column {i + 1} has no name: name it, or remove it")
    if twice := sorted({column for column in named.values() if columns.count(column) > 1}):
        raise ReadError(f"line {above + 1}: columns {shown(twice, most=200)} stand twice")
    return Table(
        tuple(named.values()),
        tuple(Row(line, {column: cells[i] for i, column in named.items()}) for line, cells in rows),
        above + 1,
    )


def read_columns(path: str | os.PathLike[str], name: str = "video_id") -> tuple[str, ...]:
    """The names in a table's header; none where it can't be read."""
    try:
        return tuple(filter(None, _open(read_text(path), name)[1]))
    except ReadError:
        return ()


def _open(text: str, name: str) -> tuple[int, list[str], Iterator[tuple[int, list[str]]]]:
    """How many lines are above the header, its names (empty where a column has none), and what follows."""
    lines = text.split("\n")
    above = next((i for i, line in enumerate(lines) if line.strip()), 0)
    stated = _STATED.fullmatch(lines[above].strip())
    above += stated is not None
    readings = [_split(lines, above, delimiter) for delimiter in ([stated[1]] if stated else _DELIMITERS)]
    headers = [_names(next(rows, (0, []))[1]) for rows in readings]
    best = max(range(len(headers)), key=lambda i: (name in headers[i], len(headers[i])))
    return above, headers[best], readings[best]


def _split(lines: list[str], above: int, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows, each with the line in which it ends."""
    reader = csv.reader((line + "\n" for line in islice(lines, above, None)), delimiter=delimiter)
    try:
        for cells in reader:
            yield above + reader.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        reason = str(error)
        if "field larger" in reason:
            reason = f"a value has more than {csv.field_size_limit()} characters: is a quotation mark not closed?"
        raise ReadError(f"line {above + reader.line_num}: {reason}") from None


def _names(cells: list[str]) -> list[str]:
    names = ["_".join(cell.lower().replace("-", " ").split()) for cell in cells]
    names = ["" if name.startswith("unnamed:") else name for name in names]  # pandas, of an index read back
    while names and not names[-1]:  # spreadsheets end lines with empty columns
        names.pop()
    return names


def _is_index(position: int, values: list[str]) -> bool:
    """Whether a column without a name may be left out: it is empty, or the first, with the numbers of rows."""
    return not any(values) or (position == 0 and all(value.isdecimal() for value in values))
