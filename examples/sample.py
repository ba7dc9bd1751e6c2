"""Make a trading day out of nothing: `bars.csv` and `quotes.csv` in the plain CSV format.

    python3 examples/sample.py FOLDER [--date 2026-03-02] [--seed 1]

The day is invented. It has a quiet opening range, a breakout upward that runs for several times its risk, and a
breakout downward in the afternoon. The same date and seed give the same bytes on every machine: there is no
random number in it, only a counter that is multiplied.
"""

import argparse
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

OPEN = time(9, 30)
ZONE = ZoneInfo("America/New_York")
SECONDS = 6 * 3600 + 30 * 60
MINUTE = 60
NOISE = 5
HALF_SPREAD = 1
PATH = (
    (0, 10_000), (120, 10_022), (240, 9_982), (300, 10_000), (700, 9_995), (1_200, 10_060), (1_800, 10_110),
    (2_700, 10_085), (4_500, 10_190), (7_200, 10_150), (10_800, 10_010), (13_000, 9_950), (15_000, 9_900),
    (18_000, 9_880), (20_000, 9_940), (SECONDS, 9_925),
)  # fmt: skip
"""(second of the session, price in cents); straight lines between."""


def noise(seed: int) -> Iterator[int]:
    """Whole numbers below 2**31 in an order that looks like none."""
    state = seed
    while True:
        state = (state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
        yield state >> 33


def prices(seed: int) -> list[int]:
    """The price of every second in cents: the path, plus a little that moves and returns."""
    numbers = noise(seed)
    found, offset = [], 0
    for (start, first), (end, last) in pairwise(PATH):
        for second in range(start, end):
            offset = max(-NOISE, min(NOISE, offset + next(numbers) % 3 - 1))
            found.append(first + (last - first) * (second - start) // (end - start) + offset)
    return found


def cents(amount: int) -> str:
    return f"{amount // 100}.{amount % 100:02}"


def stamp(opened: datetime, second: int) -> str:
    return (opened + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")


def quote_lines(opened: datetime, seed: int) -> Iterator[str]:
    """One quote a second."""
    yield "received_at,bid,ask"
    for second, price in enumerate(prices(seed)):
        yield f"{stamp(opened, second)},{cents(price - HALF_SPREAD)},{cents(price + HALF_SPREAD)}"


def bar_lines(opened: datetime, seed: int) -> Iterator[str]:
    """One bar a minute over the same prices."""
    yield "open_at,end_at,open,high,low,close,volume"
    every, volumes = prices(seed), noise(seed + 1)
    for start in range(0, SECONDS, MINUTE):
        minute = every[start : start + MINUTE]
        shown = (minute[0], max(minute), min(minute), minute[-1])
        volume = 1_000 + next(volumes) % 9_000
        times = f"{stamp(opened, start)},{stamp(opened, start + MINUTE)}"
        yield f"{times},{','.join(cents(price) for price in shown)},{volume}"


def write(folder: Path, day: date, seed: int) -> tuple[Path, Path]:
    """Write both files and say where they are."""
    opened = datetime.combine(day, OPEN, tzinfo=ZONE).astimezone(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    bars, quotes = folder / "bars.csv", folder / "quotes.csv"
    bars.write_bytes("".join(f"{line}\n" for line in bar_lines(opened, seed)).encode())
    quotes.write_bytes("".join(f"{line}\n" for line in quote_lines(opened, seed)).encode())
    return bars, quotes


def main() -> None:
    parser = argparse.ArgumentParser(description="Write bars.csv and quotes.csv of an invented trading day.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--date", type=date.fromisoformat, default=date(2026, 3, 2))
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for path in write(given.folder, given.date, given.seed):
        print(path)


if __name__ == "__main__":
    main()
