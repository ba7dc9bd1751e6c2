"""The oracle by itself: independent of the product, its books in double entry, and every switch of it works."""

import ast

import pytest

from tests.checkout import ROOT, nothing
from tests.simulation.oracle.behaviour import PERSONALITIES, personality
from tests.simulation.oracle.broker import Oracle
from tests.simulation.oracle.ledger import Ledger
from tests.simulation.oracle.messages import New
from tests.simulation.oracle_bench import SYMBOL, Bench, D


def test_oracle_imports_nothing_of_the_product() -> None:
    allowed = ("tests.simulation.oracle", "collections", "dataclasses", "decimal", "hashlib", "heapq")
    found = []
    for path in sorted((ROOT / "tests" / "simulation" / "oracle").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path.name}: {name}" for name in names if not name.startswith(allowed)]
    nothing(found)


def test_ledger_refuses_what_does_not_balance() -> None:
    ledger = Ledger()
    with pytest.raises(ValueError, match="does not balance"):
        ledger.book("magic", ("client", "cash", D(1)))
    ledger.trade("t", SYMBOL, D(3), D("10.5"))
    ledger.fee("f", D("0.1"))
    assert (ledger.held(SYMBOL), ledger.cash, ledger.fees) == (D(3), D("-31.6"), D("0.1"))
    assert ledger.is_balanced()


def test_market_order_pays_the_far_side() -> None:
    bench = Bench()
    bench.new(kind="MARKET")
    assert bench.kinds() == ["accepted", "trade"]
    assert (bench.held, bench.said[1].last_price, bench.said[1].leaves) == (D(10), D("100.02"), D(0))


def test_limit_rests_until_its_price_comes() -> None:
    bench = Bench()
    bench.new(limit=D("99.90"))
    bench.quote("99.90", "99.92")
    assert bench.held == 0
    bench.quote("99.88", "99.90")
    assert (bench.held, bench.said[-2].last_price) == (D(10), D("99.90"))


@pytest.mark.parametrize(("reports", "kinds_"), [(True, ["triggered", "trade"]), (False, ["trade"])])
def test_stop_is_elected_by_quotes_and_prints(reports: bool, kinds_: list[str]) -> None:
    bench = Bench(reports_trigger=reports)
    bench.new(kind="STOP", side="SELL", stop=D("99.50"))
    bench.oracle.printed(SYMBOL, D("99.51"), bench.at)
    bench.wait()
    assert bench.held == 0
    bench.oracle.printed(SYMBOL, D("99.50"), bench.at)
    bench.wait()
    assert (bench.kinds()[1:], bench.held) == (kinds_, D(-10))


def test_stop_limit_that_is_gapped_through_waits() -> None:
    bench = Bench()
    bench.new(kind="STOP_LIMIT", side="SELL", stop=D("99.50"), limit=D("99.40"))
    bench.quote("99.00", "99.02")
    assert (bench.kinds()[-1], bench.held) == ("triggered", D(0))
    bench.quote("99.41", "99.43")
    assert (bench.held, bench.said[-2].last_price) == (D(-10), D("99.40"))


def test_nothing_executes_in_a_halt_or_after_the_close() -> None:
    bench = Bench()
    bench.oracle.halt(SYMBOL, bench.at)
    bench.new(kind="MARKET")
    assert bench.held == 0
    bench.oracle.resume(SYMBOL, bench.at)
    assert bench.held == 10
    bench.new("day", limit=D(90))
    bench.new("gtc", limit=D(90), time_in_force="GTC")
    bench.oracle.close_session(SYMBOL, bench.at)
    bench.wait()
    assert bench.said[-1].kind == "expired"
    assert [order.client_id for order in bench.oracle.working()] == ["gtc"]
    assert bench.new("m", kind="MARKET")[0].code == "CLOSED"


def test_trade_by_hand() -> None:
    bench = Bench()
    bench.oracle.trade_by_hand(SYMBOL, D(-5), bench.at)
    bench.wait()
    assert (bench.held, bench.said[0].client_id) == (D(-5), "manual-1")


@pytest.mark.parametrize("name", sorted(PERSONALITIES))
def test_personality_trades_and_balances(name: str) -> None:
    oracle = Oracle(personality(name), 3)
    oracle.list_symbol(SYMBOL, D("0.01"))
    oracle.open_session(SYMBOL)
    oracle.quote(SYMBOL, D("99.98"), D("100.02"), 0)
    oracle.request(New("a", SYMBOL, "BUY", D(10), "MARKET"), 1)
    for at in range(2, 10):
        oracle.quote(SYMBOL, D("99.98"), D("100.02"), at * 1_000_000)
    assert oracle.floor.held(SYMBOL) == 10
    assert oracle.floor.ledger.is_balanced()
