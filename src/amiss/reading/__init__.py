"""What comes from outside, read within bounds: text, JSON, arrays, tables.

A file may be anything: a pipe that never ends, a device, text in another encoding, brackets without end, an array that
lies about its size. Whatever is wrong with it is one `ReadError`, and `refusing` makes it the error of what was asked
for. Who reads a file of somebody else reads it through here.
"""

from amiss.reading._arrays import load_array, load_arrays
from amiss.reading._files import (
    ReadError,
    ReadingBounds,
    check_file,
    check_folder,
    parse_json,
    read_bytes,
    read_json,
    read_lines,
    read_text,
    reading_bounds,
    refusing,
)
from amiss.reading._lines import JsonLine, JsonLines, parse_json_lines, read_json_lines
from amiss.reading._matlab import read_matlab
from amiss.reading._tables import Row, Table, read_columns, read_table
from amiss.reading._values import check_id, check_json_lines, check_values, shown, to_label, to_number, to_whole_number

__all__ = [
    "JsonLine",
    "JsonLines",
    "ReadError",
    "ReadingBounds",
    "Row",
    "Table",
    "check_file",
    "check_folder",
    "check_id",
    "check_json_lines",
    "check_values",
    "load_array",
    "load_arrays",
    "parse_json",
    "parse_json_lines",
    "read_bytes",
    "read_columns",
    "read_json",
    "read_json_lines",
    "read_lines",
    "read_matlab",
    "read_table",
    "read_text",
    "reading_bounds",
    "refusing",
    "shown",
    "to_label",
    "to_number",
    "to_whole_number",
]
