"""Sessions of the New York market, checked against the rules they are made from and against somebody else's table.

Run as a program this file prints the table that ships with the package.
"""

import csv
import json
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from oms.calendar import ALWAYS_OPEN, last_day, session, session_date
from oms.errors import InputError

FIRST_YEAR, LAST_YEAR = 2000, 2030
EARLY = ("04:00", "09:30", "13:00", "17:00")
CLOSED = ("", "", "", "")
COLUMNS = ("date", "pre_open", "open", "close", "post_close", "name")
MONDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY = 0, 3, 4, 5, 6

ONE_OFF = {
    date(2001, 9, 11): "Attacks of 11 September",
    date(2001, 9, 12): "Attacks of 11 September",
    date(2001, 9, 13): "Attacks of 11 September",
    date(2001, 9, 14): "Attacks of 11 September",
    date(2004, 6, 11): "Mourning for President Reagan",
    date(2007, 1, 2): "Mourning for President Ford",
    date(2012, 10, 29): "Hurricane Sandy",
    date(2012, 10, 30): "Hurricane Sandy",
    date(2018, 12, 5): "Mourning for President Bush",
    date(2025, 1, 9): "Mourning for President Carter",
}


def easter(year: int) -> date:
    """Easter Sunday by the anonymous Gregorian computation."""
    century, in_century = divmod(year, 100)
    golden = year % 19
    epact = (19 * golden + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    weekday = (32 + 2 * (century % 4) + 2 * (in_century // 4) - epact - in_century % 4) % 7
    correction = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * correction + 114, 31)
    return date(year, month, day + 1)


def nth(year: int, month: int, weekday: int, number: int) -> date:
    """The `number`-th such weekday of a month, counted from the end if negative."""
    if number < 0:
        last = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
        return last - timedelta(days=(last.weekday() - weekday) % 7)
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (number - 1))


def observed(day: date) -> date:
    """Saturday's holiday is kept on Friday, Sunday's on Monday."""
    return day + timedelta(days={SATURDAY: -1, SUNDAY: 1}.get(day.weekday(), 0))


def holidays(year: int) -> Iterator[tuple[date, str]]:
    """The holidays of one year."""
    new_year = date(year, 1, 1)
    if new_year.weekday() != SATURDAY:
        # On a Saturday it is not kept: the Friday before is the last day of the business year.
        yield observed(new_year), "New Year's Day"
    yield nth(year, 1, MONDAY, 3), "Martin Luther King Jr. Day"
    yield nth(year, 2, MONDAY, 3), "Washington's Birthday"
    yield easter(year) - timedelta(days=2), "Good Friday"
    yield nth(year, 5, MONDAY, -1), "Memorial Day"
    if year >= 2022:
        yield observed(date(year, 6, 19)), "Juneteenth"
    yield observed(date(year, 7, 4)), "Independence Day"
    yield nth(year, 9, MONDAY, 1), "Labor Day"
    yield nth(year, 11, THURSDAY, 4), "Thanksgiving Day"
    yield observed(date(year, 12, 25)), "Christmas Day"


def early_closes(year: int) -> Iterator[tuple[date, str]]:
    """Days that end at 13:00."""
    before = date(year, 7, 3)
    if year == 2002:
        yield date(2002, 7, 5), "Day after Independence Day"
    elif before.weekday() <= THURSDAY:
        yield before, "Day before Independence Day"
    yield nth(year, 11, THURSDAY, 4) + timedelta(days=1), "Day after Thanksgiving"
    if date(year, 12, 24).weekday() <= THURSDAY:
        yield date(year, 12, 24), "Christmas Eve"
    if year == 2003:
        yield date(2003, 12, 26), "Day after Christmas"


def table() -> list[tuple[str, ...]]:
    """Every day that differs from the rule, in order."""
    rows = [(day.isoformat(), *CLOSED, name) for day, name in ONE_OFF.items()]
    for year in range(FIRST_YEAR, LAST_YEAR + 1):
        rows += [(day.isoformat(), *CLOSED, name) for day, name in holidays(year)]
        rows += [(day.isoformat(), *EARLY, name) for day, name in early_closes(year)]
    return sorted(rows)


def days() -> Iterator[date]:
    day = date(FIRST_YEAR, 1, 1)
    while day.year <= LAST_YEAR:
        yield day
        day += timedelta(days=1)


def utc(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )


def reference() -> dict[str, Any]:
    """Another project's table of the same market, which is kept beside the checkout."""
    found = (
        Path(__file__).parents[2].parent / "shared" / "data" / "market_calendar" / "market-hours-extract.json"
    )
    if not found.exists():
        message = f"no reference calendar at {found}"
        assert os.environ.get("CI") != "true", message
        pytest.skip(message)
    entry: dict[str, Any] = json.loads(found.read_text())["entries"]["Equity-usa-[*]"]
    return entry


def us_date(text: str) -> date:
    month, day, year = (int(part) for part in text.split("/"))
    return date(year, month, day)


def test_table_is_what_the_rules_say() -> None:
    text = files("oms").joinpath("calendars", "xnys.csv").read_text(encoding="utf-8")
    assert [tuple(row) for row in csv.reader(text.splitlines())] == [COLUMNS, *table()]


def test_every_day_of_the_table_is_a_weekday() -> None:
    assert [row for row in table() if date.fromisoformat(row[0]).weekday() >= SATURDAY] == []


def test_holidays_agree_with_another_table() -> None:
    named = {us_date(text) for text in reference()["holidays"]}
    theirs = {day for day in named if day.year >= FIRST_YEAR and day.weekday() < SATURDAY}
    ours = {
        day
        for day in days()
        if day.year <= 2028 and day.weekday() < SATURDAY and session("XNYS", day) is None
    }
    assert sorted(ours ^ theirs) == []


def test_early_closes_agree_with_another_table() -> None:
    closes = {us_date(text): clock for text, clock in reference()["earlyCloses"].items()}
    theirs = {day for day in closes if day.year >= FIRST_YEAR and day.weekday() < SATURDAY}
    ours = set()
    for day in days():
        found = session("XNYS", day)
        if found is not None and found.close_at - found.open_at < 6 * 3_600_000_000 and day.year <= 2028:
            ours.add(day)
    assert set(closes.values()) == {"13:00:00"}
    assert sorted(ours ^ theirs) == []


@pytest.mark.parametrize(
    ("day", "open_at", "close_at"),
    [
        (date(2024, 3, 8), "2024-03-08 14:30", "2024-03-08 21:00"),
        (date(2024, 3, 11), "2024-03-11 13:30", "2024-03-11 20:00"),
        (date(2024, 11, 1), "2024-11-01 13:30", "2024-11-01 20:00"),
        (date(2024, 11, 4), "2024-11-04 14:30", "2024-11-04 21:00"),
        (date(2006, 4, 3), "2006-04-03 13:30", "2006-04-03 20:00"),
        (date(2006, 3, 31), "2006-03-31 14:30", "2006-03-31 21:00"),
        (date(2024, 11, 29), "2024-11-29 14:30", "2024-11-29 18:00"),
        (date(2025, 7, 3), "2025-07-03 13:30", "2025-07-03 17:00"),
    ],
)
def test_session_times_follow_the_clock_changes(day: date, open_at: str, close_at: str) -> None:
    found = session("XNYS", day)
    assert found is not None
    assert (found.open_at, found.close_at) == (utc(open_at), utc(close_at))


def test_extended_hours_end_earlier_on_a_half_day() -> None:
    whole, half = session("XNYS", date(2024, 11, 27)), session("XNYS", date(2024, 11, 29))
    assert whole is not None
    assert half is not None
    assert (whole.pre_open_at, whole.post_close_at) == (utc("2024-11-27 09:00"), utc("2024-11-28 01:00"))
    assert (half.pre_open_at, half.post_close_at) == (utc("2024-11-29 09:00"), utc("2024-11-29 22:00"))


@pytest.mark.parametrize(
    "day", [date(2024, 3, 9), date(2024, 3, 10), *ONE_OFF, date(2022, 6, 20), date(2027, 6, 18)]
)
def test_market_is_closed(day: date) -> None:
    assert session("XNYS", day) is None


@pytest.mark.parametrize(
    "day", [date(2010, 12, 31), date(2021, 6, 18), date(2021, 12, 31), date(2005, 12, 23)]
)
def test_market_is_open_although_one_might_think_otherwise(day: date) -> None:
    assert session("XNYS", day) is not None


def test_every_session_is_in_order() -> None:
    found = [one for day in days() if (one := session("XNYS", day))]
    assert all(one.pre_open_at < one.open_at < one.close_at < one.post_close_at for one in found)
    assert all(one.post_close_at < two.pre_open_at for one, two in pairwise(found))


def test_a_market_that_never_closes_has_no_sessions() -> None:
    assert session(ALWAYS_OPEN, date(2024, 1, 1)) is None
    assert session_date(ALWAYS_OPEN, 0) is None
    assert last_day(ALWAYS_OPEN) is None


def test_session_date_is_the_markets_own() -> None:
    assert session_date("XNYS", utc("2024-03-12 03:59")) == date(2024, 3, 11)
    assert session_date("XNYS", utc("2024-03-12 04:00")) == date(2024, 3, 12)


@pytest.mark.parametrize("day", [date(1999, 12, 31), date(2031, 1, 1)])
def test_a_day_outside_the_table_is_refused(day: date) -> None:
    with pytest.raises(InputError, match="OMS-K002") as caught:
        session("XNYS", day)
    assert "2000-01-01 to 2030-12-31" in caught.value.render()


def test_an_unknown_calendar_is_refused() -> None:
    with pytest.raises(InputError, match="OMS-K001"):
        session("XLON", date(2024, 1, 2))


if __name__ == "__main__":
    print(*(",".join(row) for row in (COLUMNS, *table())), sep="\n")
