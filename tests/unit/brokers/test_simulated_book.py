"""The broker's book on disk: nothing accepted is lost, nothing half written counts."""

from pathlib import Path

import pytest

from oms.brokers.simulated import Misbehave, Settings, SimulatedBroker
from oms.brokers.simulated.book import BookProblem
from oms.brokers.simulated.script import Delay, Drop, Repeat, Swap
from oms.events.broker import OrderFilled, OrderRejected
from oms.values import Side
from tests.unit.brokers.simulated_desk import T0, Desk, names

SETTINGS = Settings(fill_model="perfect")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "book"


def opened(path: Path, settings: Settings = SETTINGS) -> Desk:
    return Desk(SimulatedBroker(settings, path))


def busy(path: Path, settings: Settings = SETTINGS) -> Desk:
    """A broker with a filled, a working, a replaced and a canceled order, stopped in the middle of answers."""
    desk = opened(path, settings).define().session(14, T0, T0 + 10**12).quote("99.99", "100.01")
    desk.place("filled", Side.BUY, 10).place("gone", Side.BUY, 1, limit="90").settle()
    desk.cancel("gone", "c1").place("stop", Side.SELL, 10, stop="95").settle()
    desk.broker.bust(desk.of(OrderFilled)[0].execution)
    desk.place("under way", Side.BUY, 3).quote("99.98", "100.00")
    return desk


def test_reload_gives_the_same_book(path: Path) -> None:
    desk = busy(path)
    before = desk.broker.dump()
    desk.broker.close()
    again = opened(path)
    assert again.broker.dump() == before
    assert len(before.orders) == 3


def test_reload_delivers_what_was_under_way(path: Path) -> None:
    desk = busy(path)
    desk.broker.close()
    again = opened(path)
    again.now, again.seq = desk.now, desk.seq
    again.broker.advance(again.now)
    again.settle()
    assert names([stamped.event for stamped in again.heard]) == [
        "CapabilitiesDeclared", "BrokerLinkChanged", "ExecutionBusted", "OrderAccepted", "OrderFilled",
    ]  # fmt: skip
    assert again.fills() == [("3", "100.01")], "the market the book was last written with"


def test_undelivered_replies_keep_their_keys(path: Path) -> None:
    first = busy(path)
    first.broker.close()
    copy = path.read_bytes()
    heard = []
    for _ in range(2):
        path.write_bytes(copy)
        again = opened(path)
        again.now = first.now
        again.settle()
        again.broker.close()
        heard.append([(s.dedupe_key, s.event) for s in again.heard])
    assert heard[0] == heard[1]


def test_delivered_replies_do_not_come_again(path: Path) -> None:
    desk = opened(path).define().quote("99.99", "100.01").place("a", Side.BUY, 1)
    desk.settle()
    desk.broker.close()
    again = opened(path)
    again.now = desk.now
    assert names(again.settle()) == ["CapabilitiesDeclared", "BrokerLinkChanged"]


def test_a_sink_that_fails_gets_the_reply_again(path: Path) -> None:
    desk = opened(path).define().quote("99.99", "100.01")
    desk.settle()
    desk.place("a", Side.BUY, 1)
    taken = []

    def fail_at_the_fill(stamped: object) -> None:
        taken.append(stamped)
        if len(taken) == 2:
            raise RuntimeError("full")

    desk.broker.start(fail_at_the_fill, None)
    with pytest.raises(RuntimeError):
        desk.broker.advance(desk.now + 1_000_000)
    desk.broker.close()
    again = opened(path)
    again.now = desk.now + 1_000_000
    assert "OrderFilled" in names(again.settle())


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_torn_last_line_never_happened(path: Path, cut: int) -> None:
    desk = opened(path).define().quote("99.99", "100.01").place("a", Side.BUY, 1, limit="90")
    desk.settle()
    desk.place("torn", Side.BUY, 1, limit="90")
    desk.broker.close()
    path.write_bytes(path.read_bytes()[:-cut])
    again = opened(path)
    again.now = desk.now
    again.settle()
    assert [order.wire_ids for order in again.broker.dump().orders] == [("a",)]
    again.place("next", Side.BUY, 1, limit="90").settle()
    again.broker.close()
    assert len(opened(path).broker.dump().orders) == 2


def test_damage_before_the_end_is_an_error(path: Path) -> None:
    busy(path).broker.close()
    text = bytearray(path.read_bytes())
    text[text.index(b"filled")] ^= 1
    path.write_bytes(text)
    with pytest.raises(BookProblem, match="BROKER-BOOK-DAMAGED"):
        opened(path)


def test_a_missing_line_is_an_error(path: Path) -> None:
    busy(path).broker.close()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    with pytest.raises(BookProblem, match="BROKER-BOOK-DAMAGED"):
        opened(path)


def test_a_book_belongs_to_one_broker(path: Path) -> None:
    busy(path).broker.close()
    with pytest.raises(BookProblem, match="BROKER-BOOK-OTHER"):
        opened(path, Settings(seed=2))


def test_two_brokers_cannot_write_one_book(path: Path) -> None:
    busy(path)
    with pytest.raises(BookProblem, match="BROKER-BOOK-IN-USE"):
        opened(path)


def test_ids_stay_unique_over_a_reload(path: Path) -> None:
    desk = busy(path)
    desk.settle()
    desk.broker.close()
    again = opened(path)
    again.now = desk.now
    again.quote("99.99", "100.01").place("filled", Side.BUY, 1).place("new", Side.BUY, 1).settle()
    assert [event.client_order_id for event in again.of(OrderRejected)] == ["filled"]
    keys = [s.dedupe_key for s in desk.heard + again.heard]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("what", [Drop(), Swap(), Delay(500), Repeat("OrderAccepted")])
def test_reload_remembers_what_the_script_did(path: Path, what: Drop | Swap | Delay | Repeat) -> None:
    """Cut in two by a reload, a scripted day sounds the same as in one piece."""
    settings = Settings(fill_model="perfect", script=(Misbehave(what=what),))
    whole = Desk(SimulatedBroker(settings)).define().place("a", Side.BUY, 1, limit="90")
    whole.settle()
    whole.cancel("a").settle()
    desk = opened(path, settings).define().place("a", Side.BUY, 1, limit="90")
    desk.settle()
    desk.broker.close()
    again = opened(path, settings)
    again.now = desk.now
    again.cancel("a").settle()

    def broker_words(desk: Desk) -> list[str]:
        return [name for name in names([s.event for s in desk.heard]) if name.startswith("Order")]

    assert broker_words(desk) + broker_words(again) == broker_words(whole)


def test_market_data_alone_is_not_written(path: Path) -> None:
    desk = opened(path).define()
    size = path.stat().st_size
    for _ in range(50):
        desk.quote("99.99", "100.01")
    assert path.stat().st_size == size


def test_only_the_owner_may_read_the_book(path: Path) -> None:
    opened(path)
    assert path.stat().st_mode & 0o777 == 0o600
