"""How brokers differ, as switches, and the mixtures that stand for real ones.

Each switch is documented behaviour: FIX 4.4 appendix D for the order states; the public API guides of Interactive
Brokers, Alpaca, Binance and Bybit for the rest. `tests/simulation/test_oracle.py` shows that each of them works.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """One broker's manners. Times in milliseconds."""

    name: str = "plain"
    numbers_messages: bool = True
    """Every message has a number of its own, so that a copy can be told (FIX MsgSeqNum)."""
    copies_of_statuses: int = 0
    """How often an order's status is repeated without news (IBKR orderStatus)."""
    ack_delay_ms: int = 0
    """How long an acknowledgement is overtaken by what happens to the order (FIX D.3)."""
    pending_reports: bool = False
    """Pending New, Pending Cancel and Pending Replace are reported (FIX 39=A, 6, E)."""
    amend_takes_ms: int = 0
    """How long a replace is pending at the broker; executions cross it."""
    amend_gives_new_order_id: bool = False
    """A replaced order goes on under a new broker id (Alpaca)."""
    refuses_cancel_while_amending: bool = False
    """A pending replace blocks cancels (Alpaca)."""
    cancel_takes_ms: int = 0
    """How long a cancel is pending at the broker; executions cross it."""
    below_filled: str = "refuse"
    """A replace to less than has executed: "refuse", or "complete" the order at what it has (FIX C.3.b, C.3.c)."""
    one_code_for_late_and_unknown: bool = False
    """"Order not exists or too late" is one answer (Bybit)."""
    ids_unique: str = "ever"
    """Client ids may not be used twice "ever", or only among "open" orders (Binance)."""
    answers_duplicates: bool = False
    """A second order under a used id is refused naming the first one (FIX OrdRejReason 6)."""
    cancels_after_disconnect_ms: int | None = None
    """Disconnect protection: all open orders are cancelled so long after the link fell (Bybit)."""
    requests_per_second: int | None = None
    """More requests than this are refused (Binance 429)."""
    refuses_stop_through_market: bool = False
    """A stop that would trigger at once is refused (Binance -2021); otherwise it triggers."""
    replays_on_connect: bool = False
    """The statuses of open orders come again with every connection (IBKR)."""
    revisions_in_ids: bool = False
    """A correction is a trade whose id differs only after the last dot (IBKR)."""
    native_reduce_only: bool = False
    """Orders marked so never turn a position; the rest of one that would is cancelled."""
    reports_trigger: bool = True
    """The election of a stop is reported."""
    amends_stops: bool = True
    """Waiting stops can be replaced at all."""
    amends_kind: bool = True
    """A waiting stop can become another type of order."""
    refuses_in_halt: bool = False
    """New orders are refused while the venue has halted."""
    suspends_in_halt: bool = False
    """Working orders are reported suspended for as long as a halt lasts (FIX 39=9)."""
    forgets_ended: bool = False
    """Asked for an order that has ended, the broker tells its executions and then that it knows no such order."""
    totals_in_trades: bool = True
    """Executions carry the order's cumulative and remaining quantity."""
    bust_reopens: bool = False
    """A busted quantity works again in the order."""
    fee_per_share: str = "0.005"
    parts: int = 3
    """An order that meets the market executes in at most so many parts."""


PERSONALITIES = {
    one.name: one
    for one in (
        Behaviour(),
        Behaviour(
            name="ibkr", numbers_messages=False, copies_of_statuses=1, replays_on_connect=True,
            revisions_in_ids=True, cancel_takes_ms=40, reports_trigger=True, forgets_ended=True,
        ),
        Behaviour(
            name="alpaca", pending_reports=True, amend_takes_ms=60, amend_gives_new_order_id=True,
            refuses_cancel_while_amending=True, amends_kind=False, cancel_takes_ms=30,
        ),
        Behaviour(
            name="binance", ids_unique="open", requests_per_second=20, refuses_stop_through_market=True,
            amends_stops=False, parts=5, refuses_in_halt=True,
        ),
        Behaviour(
            name="bybit", one_code_for_late_and_unknown=True, native_reduce_only=True, ack_delay_ms=120,
            totals_in_trades=False, below_filled="complete",
        ),
        Behaviour(
            name="fix", pending_reports=True, amend_takes_ms=25, cancel_takes_ms=25, bust_reopens=True,
            suspends_in_halt=True, answers_duplicates=True, below_filled="complete",
        ),
        Behaviour(name="evil", copies_of_statuses=2, ack_delay_ms=300, cancel_takes_ms=80, amend_takes_ms=80, parts=7),
    )
}  # fmt: skip
"""The manners of real brokers, by name."""


def personality(name: str, **switches: object) -> Behaviour:
    """A named broker, with single switches set otherwise."""
    return replace(PERSONALITIES[name], **switches)  # type: ignore[arg-type]
