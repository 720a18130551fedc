"""When the watcher does what: the hours of the day at which photos are analysed."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewatch.watcher.schedule import Hours


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-22T{text}")


@pytest.mark.parametrize(
    ("hours", "moment", "is_open"),
    [
        ("22:00-06:00", "21:59:59", False),
        ("22:00-06:00", "22:00:00", True),
        ("22:00-06:00", "00:00:00", True),
        ("22:00-06:00", "05:59:59", True),
        ("22:00-06:00", "06:00:00", False),
        ("09:30-17:00", "09:29:00", False),
        ("09:30-17:00", "12:00:00", True),
        ("09:30-17:00", "17:00:00", False),
        ("08:00-08:00", "07:00:00", True),
        ("00:00-00:00", "23:59:59", True),
        ("", "03:00:00", True),
        ("00:00-06:00", "00:00:00", True),
        ("18:00-00:00", "23:59:59", True),
        ("18:00-00:00", "00:00:00", False),
    ],
)
def test_hours_span_midnight_and_equal_ends_are_the_whole_day(hours: str, moment: str, is_open: bool) -> None:
    assert Hours.parse(hours).is_open(at(moment)) is is_open


@pytest.mark.parametrize("text", ["22:00", "22-", "25:00-06:00", "a-b", "22:00-06:61"])
def test_what_is_no_time_of_the_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Hours.parse(text)


times = st.times().map(lambda t: t.replace(second=0, microsecond=0))


@given(opens=times, closes=times)
def test_they_are_open_from_when_they_begin_until_they_end(opens: time, closes: time) -> None:
    hours = Hours.parse(f"{opens:%H:%M}-{closes:%H:%M}")
    begins, ends = (datetime.combine(at("00:00"), moment) for moment in (opens, closes))
    instant = timedelta(microseconds=1)
    assert hours.is_open(begins)
    assert hours.is_open(ends - instant)
    assert hours.is_open(ends) == hours.is_open(begins - instant) == (opens == closes)


def test_an_hour_that_is_left_out_or_comes_twice_changes_nothing() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    night = Hours.parse("02:30-06:00")
    # 02:00 to 03:00 is left out on this night: the hours begin at the first moment that is later than 02:30.
    before = datetime(2026, 3, 29, 0, 59, tzinfo=UTC).astimezone(berlin)
    after = datetime(2026, 3, 29, 1, 0, tzinfo=UTC).astimezone(berlin)
    assert not night.is_open(before)
    assert night.is_open(after)
    # 02:00 to 03:00 comes twice on this night: what the clock shows counts, both times.
    for hour in (0, 1):
        shown = datetime(2026, 10, 25, hour, 45, tzinfo=UTC).astimezone(berlin)
        assert f"{shown:%H:%M}" == "02:45"
        assert night.is_open(shown)
