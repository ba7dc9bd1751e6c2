"""Every switch of the oracle works: documented behaviour of real brokers, one by one."""

from pathlib import Path

import pytest

from tests.checkout import nothing
from tests.simulation.oracle.behaviour import PERSONALITIES, personality
from tests.simulation.oracle.floor import Quirk
from tests.simulation.oracle.messages import AskBooks, AskOrder, New
from tests.simulation.oracle_bench import MS, SYMBOL, Bench, D, kinds


def test_repeats_statuses() -> None:
    assert kinds(Bench(copies_of_statuses=2).new()) == ["accepted", "status", "status"]


def test_fill_overtakes_the_acknowledgement() -> None:
    bench = Bench(ack_delay_ms=50)
    bench.at += MS
    bench.oracle.request(New("a", SYMBOL, "BUY", D(10), "MARKET"), bench.at)
    out = [report.kind for _, report in sorted(bench.oracle.take(), key=lambda one: one[0])]
    assert out.index("trade") < out.index("accepted")


def test_pending_reports() -> None:
    bench = Bench(pending_reports=True, amend_takes_ms=5, cancel_takes_ms=5)
    assert kinds(bench.new()) == ["pending_new", "accepted"]
    assert kinds(bench.amend()) == ["pending_replace"]
    bench.wait(5)
    assert kinds(bench.cancel("b")) == ["pending_cancel"]
    bench.wait(5)
    assert bench.kinds()[-1] == "canceled"


def test_execution_crosses_a_pending_replace() -> None:
    bench = Bench(amend_takes_ms=20)
    bench.new(limit=D("99.90"))
    bench.amend(limit=D("99.80"))
    bench.quote("99.88", "99.90")
    bench.wait(20)
    assert bench.kinds()[-2:] == ["trade", "replace_rejected"]
    assert (bench.said[-1].code, bench.held) == ("TOO_LATE", D(10))


def test_replace_goes_on_under_a_new_order_id() -> None:
    bench = Bench(amend_gives_new_order_id=True)
    first = bench.new()[0].order_id
    replaced = bench.amend()[0]
    assert replaced.order_id != first
    assert (replaced.client_id, replaced.orig_id) == ("b", "a")
    assert kinds(bench.cancel("a")) == ["canceled"]


def test_pending_replace_blocks_cancels() -> None:
    bench = Bench(refuses_cancel_while_amending=True, amend_takes_ms=10)
    bench.new()
    bench.amend()
    assert bench.cancel()[0].code == "ALREADY_PENDING"


@pytest.mark.parametrize("below", ["refuse", "complete"])
def test_replace_below_what_has_executed(below: str) -> None:
    bench = Bench(below_filled=below)
    bench.new(quantity=10, limit=D("99.90"))
    bench.oracle.floor.behaviour = personality("plain", below_filled=below, parts=2)
    bench.oracle.floor.seed = next(seed for seed in range(99) if _halves(bench, seed))
    bench.quote("99.88", "99.90")
    assert 0 < bench.held < 10
    answer = bench.amend(quantity=1)[0]
    if below == "refuse":
        assert (answer.kind, answer.code) == ("replace_rejected", "OTHER")
    else:
        assert (answer.kind, answer.status, answer.leaves) == ("replaced", "FILLED", D(0))


def _halves(bench: Bench, seed: int) -> bool:
    bench.oracle.floor.seed = seed
    return bench.oracle.floor.draw("part", SYMBOL, 1, 0) % 2 == 1


@pytest.mark.parametrize("one_code", [True, False])
def test_one_code_for_too_late_and_unknown(one_code: bool) -> None:
    bench = Bench(one_code_for_late_and_unknown=one_code)
    bench.new(kind="MARKET")
    late, unknown = bench.cancel("a")[0].code, bench.cancel("zzz")[0].code
    assert (late == unknown == "TOO_LATE_OR_UNKNOWN") is one_code


@pytest.mark.parametrize(("unique", "second"), [("ever", "rejected"), ("open", "accepted")])
def test_ids_may_be_used_again(unique: str, second: str) -> None:
    bench = Bench(ids_unique=unique)
    bench.new(kind="MARKET")
    assert bench.new(kind="MARKET")[0].kind == second
    bench.new("o")
    assert bench.new("o")[0].code == "DUPLICATE_ORDER"


def test_names_the_first_order_to_a_duplicate() -> None:
    bench = Bench(answers_duplicates=True)
    first = bench.new()[0].order_id
    assert bench.new()[0].order_id == first


def test_disconnect_protection_cancels_everything() -> None:
    bench = Bench(cancels_after_disconnect_ms=1000)
    bench.new()
    bench.oracle.link_lost(bench.at)
    bench.wait(999)
    assert bench.oracle.working()
    bench.wait(1)
    assert not bench.oracle.working()
    bench.new("b")
    bench.oracle.link_lost(bench.at)
    bench.wait(500)
    bench.oracle.link_made(bench.at)
    bench.wait(1000)
    assert bench.oracle.working()


def test_rate_limit() -> None:
    bench = Bench(requests_per_second=2)
    bench.new("a")
    bench.new("b")
    assert bench.new("c")[0].code == "RATE_LIMIT"
    bench.wait(1000)
    assert bench.new("d")[0].kind == "accepted"


def test_refuses_a_stop_that_would_trigger() -> None:
    stop = {"kind": "STOP", "side": "SELL", "stop": D("99.98")}
    assert Bench(refuses_stop_through_market=True).new(**stop)[0].code == "WOULD_TRIGGER"
    bench = Bench()
    bench.new(**stop)
    assert bench.held == -10


def test_replays_statuses_on_connect() -> None:
    for switch in (True, False):
        bench = Bench(replays_on_connect=switch)
        bench.new()
        bench.said.clear()
        bench.oracle.link_made(bench.at)
        bench.wait()
        assert bench.kinds() == (["status"] if switch else [])


@pytest.mark.parametrize("in_ids", [True, False])
def test_corrections_are_new_revisions(in_ids: bool) -> None:
    bench = Bench({("trade", 1): [Quirk("correct_price", 5, 2)]}, revisions_in_ids=in_ids)
    bench.new(kind="MARKET")
    bench.wait(5)
    first, second = (report for report in bench.said if report.execution and report.kind != "fee")
    assert (second.last_price, second.tag) == (D("100.04"), 1)
    assert second.kind == ("trade" if in_ids else "corrected")
    assert (first.execution == second.execution) is not in_ids
    assert bench.oracle.floor.ledger.cash == D("-1000.45")


@pytest.mark.parametrize(("reopens", "status"), [(True, "NEW"), (False, "CANCELED")])
def test_bust_takes_an_execution_back(reopens: bool, status: str) -> None:
    bench = Bench({("trade", 1): [Quirk("bust", 5)]}, bust_reopens=reopens)
    bench.new(limit=D("100.02"))
    bench.quote("100.10", "100.12")
    bench.wait(5)
    assert (bench.held, bench.said[-1].kind, bench.said[-1].status) == (D(0), "busted", status)
    assert bench.oracle.floor.ledger.is_balanced()


def test_reduce_only_never_turns_a_position() -> None:
    bench = Bench(native_reduce_only=True)
    bench.new(kind="MARKET", quantity=4)
    bench.new("s", kind="MARKET", side="SELL", quantity=10, reduce_only=True)
    assert (bench.held, bench.kinds()[-1]) == (D(0), "canceled")


def test_stops_that_cannot_be_changed() -> None:
    stop = {"kind": "STOP", "side": "SELL", "stop": D("99.50")}
    for switches, text in (
        ({"amends_stops": False}, "stops cannot"),
        ({"amends_kind": False}, "cannot become"),
    ):
        bench = Bench(**switches)
        bench.new(**stop)
        assert text in bench.amend(kind="MARKET")[0].text
    bench = Bench()
    bench.new(**stop)
    bench.amend(kind="MARKET")
    assert bench.held == -10


def test_halts_refuse_and_suspend() -> None:
    bench = Bench(refuses_in_halt=True, suspends_in_halt=True)
    bench.new()
    bench.oracle.halt(SYMBOL, bench.at)
    bench.wait()
    assert bench.said[-1].status == "SUSPENDED"
    assert bench.new("b")[0].code == "HALTED"
    bench.oracle.resume(SYMBOL, bench.at)
    bench.wait()
    assert bench.said[-1].status == "NEW"


def test_forgets_orders_that_have_ended() -> None:
    bench = Bench(forgets_ended=True)
    bench.new(kind="MARKET")
    assert kinds(bench.do(AskOrder("a", SYMBOL, 7))) == ["trade", "unknown"]
    bench = Bench()
    bench.new(kind="MARKET")
    assert kinds(bench.do(AskOrder("a", SYMBOL, 7))) == ["trade", "status"]


def test_executions_without_totals() -> None:
    bench = Bench(totals_in_trades=False)
    bench.new(kind="MARKET")
    assert (bench.said[1].kind, bench.said[1].cumulative, bench.said[1].leaves) == ("trade", None, None)


def test_late_fill_after_a_confirmed_cancel() -> None:
    bench = Bench({("cancel", 1): [Quirk("late_fill", 5)]})
    bench.new()
    assert kinds(bench.cancel()) == ["canceled"]
    bench.wait(5)
    assert (bench.kinds()[-1], bench.held) == ("trade", D(10))


@pytest.mark.parametrize(
    ("kind", "held", "answer"), [("race_fill", 10, "cancel_rejected"), ("race_part", 1, "canceled")]
)
def test_execution_races_a_cancel(kind: str, held: int, answer: str) -> None:
    bench = Bench({("cancel", 1): [Quirk(kind)]})
    bench.new()
    assert kinds(bench.cancel()) == ["trade", answer]
    assert bench.held == held


def test_replace_that_is_half_done() -> None:
    bench = Bench({("amend", 1): [Quirk("half")]})
    bench.new()
    assert kinds(bench.amend()) == ["canceled", "replace_rejected"]
    assert not bench.oracle.working()


def test_cancels_unasked_and_by_hand() -> None:
    bench = Bench({("new", 1): [Quirk("cancel_unasked", 5)]})
    bench.new()
    bench.wait(5)
    assert (bench.said[-1].kind, bench.said[-1].orig_id) == ("canceled", None)
    bench.new("b")
    assert bench.oracle.cancel_by_hand(SYMBOL, bench.at, ("LIMIT",)) == 1


def test_evil_reports() -> None:
    bench = Bench({("trade", 1): [Quirk("overfill", quantity=3)], ("trade", 2): [Quirk("wrong_side")]})
    bench.new(kind="MARKET")
    assert bench.held == 13
    bench.new("b", kind="MARKET")
    assert bench.said[-2].side == "SELL"
    assert bench.held == 23
    bench = Bench({("trade", 1): [Quirk("alias")], ("trade", 2): [Quirk("zero_quantity")]})
    bench.new(kind="MARKET")
    names = [report.execution for report in bench.said if report.kind == "trade"]
    assert len(names) == 2
    assert names[1] == f"poll-{names[0]}"
    bench.new("b", kind="MARKET")
    assert bench.said[-2].last_quantity == 0


@pytest.mark.parametrize(("quirk", "complete"), [("incomplete", False), ("", True)])
def test_books_close_with_positions_and_open_orders(quirk: str, complete: bool) -> None:
    bench = Bench({("books", 1): [Quirk(quirk)]} if quirk else None)
    bench.new(kind="MARKET")
    bench.new("b")
    books = bench.do(AskBooks(5))[-1]
    assert (books.kind, books.tag, books.complete) == ("books", 5, complete)
    assert books.positions == (((SYMBOL, D(10)),) if complete else ())
    assert books.open_orders == ("b",)


def test_every_switch_is_tested() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    elsewhere = {"name", "fee_per_share", "numbers_messages", "reports_trigger"}
    names = [name for name in PERSONALITIES["plain"].__dataclass_fields__ if name not in elsewhere]
    nothing([name for name in names if name not in text])
