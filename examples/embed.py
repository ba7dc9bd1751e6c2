"""Embed the system behind a strategy: a log in memory, a simulated broker, a generated day. Run it: it prints a day."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from examples import sample
from examples.opening_range_breakout import OpeningRangeBreakout
from oms import InstrumentDefined, Oms, SessionOpened
from oms.calendar import session
from replay.importers import open_format

DAY = date(2026, 3, 2)


def main() -> None:
    """Feed a generated day to the example strategy and print what came of it."""
    hours = session("XNYS", DAY)
    assert hours is not None
    stock = InstrumentDefined(
        instrument="TEST", symbol="TEST", currency="USD", tick=Decimal("0.01"), lot=Decimal(1)
    )
    times = SessionOpened(
        instrument="TEST", calendar="XNYS", session_date=DAY, open_at=hours.open_at, close_at=hours.close_at
    )
    with TemporaryDirectory() as folder, Oms.open(database="memory", day=DAY, at=hours.pre_open_at) as oms:
        oms.attach(OpeningRangeBreakout())
        oms.on_alert(lambda alert: print(alert.severity.value, alert.text))
        oms.define(stock, times)
        for record in open_format("csv", sample.write(Path(folder), DAY, seed=1), "TEST"):
            for refused in oms.feed(record).rejections:
                print("refused:", refused.code, refused.text)
        day = oms.day()
    print(f"{day.seq} events, realized {day.realized}, open {day.open_positions}, digest {day.digest[:16]}")


if __name__ == "__main__":
    main()
