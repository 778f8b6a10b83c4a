"""Which events a rule tells."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiss.errors import UsageError
from amiss.watch.config import Rule
from helpers.events import START, make_event


def rule(**changes: object) -> Rule:
    return Rule(name="r", channels=("mail",), **changes)  # type: ignore[arg-type]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_camera_score_and_length() -> None:
    event = make_event()
    assert rule().moment(event) == START
    assert rule(cameras=("gate", "yard")).moment(event) == START
    assert rule(cameras=("yard",)).moment(event) is None
    assert rule(min_score=0.9).moment(event) == START
    assert rule(min_score=0.91).moment(event) is None
    assert rule(min_length_s=20).moment(event) == START
    assert rule(min_length_s=20.1).moment(event) is None


def test_opened_and_closed() -> None:
    opened = make_event(state="open")
    assert rule().moment(opened) == START
    assert rule(on="closed").moment(opened) is None
    assert rule(on="closed").moment(make_event()) == START + timedelta(seconds=20)
    assert rule(on="closed").moment(make_event(state="interrupted")) is not None
    assert rule(min_length_s=19).moment(opened) == START  # has lasted 19.5 s
    assert rule(min_length_s=30).moment(opened) is None


@pytest.mark.parametrize(
    ("time", "told"),
    [
        ("2026-03-06T21:59:59", False),  # a Friday
        ("2026-03-06T22:00:00", True),
        ("2026-03-07T05:59:59", True),  # belongs to the night that began on Friday
        ("2026-03-07T06:00:00", False),
        ("2026-03-07T23:00:00", False),
        ("2026-03-06T03:00:00", False),  # of Thursday's night
    ],
)
def test_hours_across_midnight_belong_to_the_day_they_begin(time: str, told: bool) -> None:
    friday_night = rule(hours="22:00-06:00", days=("fri",), time_zone="UTC")
    assert (friday_night.moment(make_event(started=at(time))) is not None) == told


def test_hours_are_local_also_where_the_clocks_change() -> None:
    morning = rule(hours="08:00-09:00", time_zone="Europe/Berlin")
    assert morning.moment(make_event(started=at("2026-03-28T07:30:00"))) is not None  # UTC+1
    assert morning.moment(make_event(started=at("2026-03-29T07:30:00"))) is None  # UTC+2 since that night
    assert morning.moment(make_event(started=at("2026-03-29T06:30:00"))) is not None


def test_hours_until_midnight() -> None:
    evening = rule(hours="20:00-24:00", days=("fri",), time_zone="UTC")
    assert evening.moment(make_event(started=at("2026-03-06T23:59:00"))) is not None
    assert evening.moment(make_event(started=at("2026-03-07T00:00:00"))) is None


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), st.times(), st.times())
def test_hours_and_their_complement_share_the_day(moment: datetime, first: object, second: object) -> None:
    begin, end = (f"{time:%H:%M}" for time in (first, second))  # type: ignore[str-format]
    event = make_event(started=moment.replace(tzinfo=UTC))
    inside = [rule(hours=hours, time_zone="UTC").moment(event) for hours in (f"{begin}-{end}", f"{end}-{begin}")]
    assert sum(time is not None for time in inside) == (2 if begin == end else 1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hours": "22-"}, "like 22:00-06:00"),
        ({"hours": "25:00-06:00"}, "like 22:00-06:00"),
        ({"days": ("monday",)}, "'monday'"),
        ({"time_zone": "Mars/Olympus"}, "Europe/Berlin"),
        ({"cooldown_s": -1}, "negative"),
        ({"cooldown_s": 1e300}, "at most 31536000"),
        ({"channels": ()}, "no channel"),
    ],
)
def test_wrong_rules(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Rule(**({"name": "r", "channels": ("mail",)} | wrong))  # type: ignore[arg-type]
