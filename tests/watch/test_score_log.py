"""The log of scores: its columns, and what it doesn't append to."""

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from amiss.errors import UsageError
from amiss.reading import read_json_lines
from amiss.watch._score_log import ScoreLog

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def write(path: Path) -> None:
    log = ScoreLog(path)
    log.write(NOON, "yard", 0.5, 0.25, None)
    log.write(NOON, "box", 0.75, 0.5, "e1", "lobby, 2.mp4", 61.23456)
    log.close()


def test_a_files_scores_have_its_name_and_the_seconds(tmp_path: Path) -> None:
    write(tmp_path / "a.csv")
    write(tmp_path / "a.csv")  # appended, with one header
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["camera"], row["event_id"], row["file"], row["seconds"]) for row in rows] == [
        ("yard", "", "", ""), ("box", "e1", "lobby, 2.mp4", "61.235")
    ] * 2  # fmt: skip
    write(tmp_path / "a.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [(line["file"], line["seconds"]) for line in lines] == [(None, None), ("lobby, 2.mp4", 61.235)]


def test_a_log_with_other_columns_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    old = "time,camera,score,smoothed,event_id\n2026-03-01T12:00:00+00:00,yard,0.5,0.5,\n"
    (tmp_path / "a.csv").write_text(old)
    with pytest.raises(UsageError, match="its columns are not time,camera,score,smoothed,event_id,file,seconds"):
        ScoreLog(tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == old
    (tmp_path / "empty.csv").touch()
    write(tmp_path / "empty.csv")
    assert (tmp_path / "empty.csv").read_text().startswith("time,camera,score,smoothed,event_id,file,seconds\n")


def test_a_line_that_a_power_cut_left_half_spoils_no_other(tmp_path: Path) -> None:
    for name in ("a.csv", "a.jsonl"):
        write(tmp_path / name)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-9])
        write(tmp_path / name)
    assert (tmp_path / "a.csv").read_text().count("\n") == 5
    scores = read_json_lines(tmp_path / "a.jsonl", lambda values: values["score"])
    assert (scores.values, len(scores.damaged)) == ([0.5, 0.5, 0.75], 1)
