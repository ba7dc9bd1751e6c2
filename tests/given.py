"""Given events, when an event, then decisions: the grammar of the tests of policies, over the real step and book.

    given(entry(), ack(Role.ENTRY)).when(fill(Role.ENTRY)).then(
        like(StopMoved), like(OrderPlaced, role=Role.STOP, quantity=100), ...
    )

A story begins at the open, with a quote of 99.99 to 100.01 that stays fresh until `silent`. What goes in is an
event, the answer of a broker to what the core asked (`ack`, `fill`, ...), or the passing of time (`wait`). As in
the live filter, the newest quote is logged with every clock input and before every other input of the instrument.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Self

from oms.book import Book
from oms.config import Settings
from oms.events.base import DECISION, Event, Stamped, body_text
from oms.events.broker import (
    CapabilitiesDeclared,
)
from oms.events.clock import ClockAdvanced
from oms.events.market import QuoteReported, QuoteTick, TradePrinted
from oms.policies import POLICIES
from oms.state import invariants
from oms.state.order import Order
from oms.state.pipeline import Pipeline
from oms.state.protection import Protection, protection
from oms.state.trade import Trade
from oms.state.view import View
from oms.step import StepResult
from oms.values import MILLISECOND, SECOND, Micros, Role
from tests import builders
from tests.builders import NAME, OPEN, Number

Input = Event | Callable[["Story"], Event | None]
_UNACCOMPANIED = (QuoteReported, TradePrinted, ClockAdvanced)


class Like:
    """A decision of this type with these fields; the others may be anything."""

    def __init__(self, kind: type[Event], fields: dict[str, Any]) -> None:
        self.kind = kind
        self.fields = fields

    def matches(self, event: Event) -> bool:
        return type(event) is self.kind and all(
            getattr(event, name) == value for name, value in self.fields.items()
        )

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value}" for name, value in self.fields.items())
        return f"{self.kind.__name__}({fields})"


def like(kind: type[Event], **fields: Any) -> Like:
    """Prices and quantities may be given as text."""
    decimals = ("price", "quantity", "level", "pnl")
    return Like(
        kind,
        {
            name: Decimal(value) if name.startswith(decimals) and value is not None else value
            for name, value in fields.items()
        },
    )


class Story:
    """One pipeline of one account, told input by input."""

    def __init__(
        self,
        settings: Settings | None = None,
        capabilities: CapabilitiesDeclared | None = None,
        start: Micros = OPEN,
    ) -> None:
        self.chosen: int | None = None
        self.book = Book()
        self.now: Micros = builders.PRE_OPEN
        self.results: list[StepResult] = []
        self.told: list[Event] = []
        self.touch: tuple[Decimal | None, Decimal | None] | None = None
        self.executions = 0
        for event in builders.opening(settings or builders.settings()):
            self.step(event)
        for event in (*builders.connection(capabilities), builders.instrument(), builders.session()):
            self.step(event)
        self.now = start
        self.step(builders.quote("99.99", "100.01", at=self.now))

    @property
    def pipeline(self) -> Pipeline:
        return self.book.pipelines[NAME]

    @property
    def trade(self) -> Trade:
        """The trade that is talked `about`; by default the newest."""
        return self.pipeline.trades[self.chosen or max(self.pipeline.trades)]

    @property
    def view(self) -> View:
        return View(self.book.account, self.pipeline, self.now)

    @property
    def protection(self) -> Protection:
        return protection(self.view, self.trade)

    def order(self, role: Role, nth: int = -1) -> Order:
        """An order of the newest trade: by default the newest of its role."""
        slots = {Role.ENTRY: "entries", Role.STOP: "stops", Role.TARGET: "targets", Role.EXIT: "exits"}
        return self.pipeline.orders[getattr(self.trade, slots[role])[nth]]

    def step(self, event: Event) -> list[Event]:
        """One input through the book; its decisions."""
        if isinstance(event, QuoteReported):
            self.touch = (event.bid, event.ask)
        result = self.book.decide(Stamped(event=event, logical_time=self.now))
        self.book.commit()
        self.results.append(result)
        if NAME in result.decided:
            said = [text_of(decision) for decision in repeated(self.book, NAME, self.now)]
            assert not said, f"said twice after {text_of(event)}: {said}"
        return [one.event for one in result.events if one.event.KIND == DECISION]

    def take(self, item: Input) -> list[Event]:
        """One input, with the newest quote before it; all decisions that followed."""
        before = len(self.results)
        if isinstance(item, Event):
            self._tell(item)
        else:
            event = item(self)
            if event is not None:
                self._tell(event)
        return [
            one.event
            for result in self.results[before:]
            for one in result.events
            if one.event.KIND == DECISION
        ]

    def given(self, *inputs: Input) -> Self:
        """What happened before."""
        for item in inputs:
            self.take(item)
        return self

    def when(self, *inputs: Input) -> Self:
        """What happens now; `then` looks at the decisions of these."""
        self.told = [decision for item in inputs for decision in self.take(item)]
        return self

    def then(self, *wanted: Like) -> Self:
        """Exactly these decisions, in this order."""
        told = "\n  ".join(text_of(decision) for decision in self.told) or "nothing"
        found = len(wanted) == len(self.told) and all(
            one.matches(decision) for one, decision in zip(wanted, self.told, strict=True)
        )
        assert found, f"wanted {list(wanted)}\ntold\n  {told}"
        return self

    def then_among(self, *wanted: Like) -> Self:
        """These decisions in this order, perhaps with others between."""
        rest = iter(self.told)
        told = "\n  ".join(text_of(decision) for decision in self.told) or "nothing"
        for one in wanted:
            assert any(one.matches(decision) for decision in rest), f"wanted {one}\ntold\n  {told}"
        return self

    def then_none(self, kind: type[Event], **fields: Any) -> Self:
        """No decision like this."""
        found = [decision for decision in self.told if like(kind, **fields).matches(decision)]
        assert not found, [text_of(decision) for decision in found]
        return self

    def tick(self, until: Micros) -> None:
        """Let every deadline up to `until` come."""
        while (due := self.book.next_due()) is not None and due <= until:
            assert due > self.now or not self.results[-1].decided, "a deadline that stays due"
            self.now = max(due, self.now)
            self.clock()
        self.now = max(self.now, until)

    def clock(self) -> None:
        bid, ask = self.touch or (None, None)
        fresh = (QuoteTick(instrument=NAME, bid=bid, ask=ask, received_at=self.now),) if self.touch else ()
        self.step(ClockAdvanced(quotes=fresh))

    def _tell(self, event: Event) -> None:
        quoted_at = self.pipeline.market.quote_at
        if not isinstance(event, _UNACCOMPANIED) and self.touch is not None and quoted_at != self.now:
            self.step(builders.quote(*self.touch, at=self.now))
        self.step(event)


def text_of(event: Event) -> str:
    return f"{type(event).__name__} {body_text(event)}"


def given(
    *inputs: Input, settings: Settings | None = None, capabilities: CapabilitiesDeclared | None = None
) -> Story:
    """The beginning of a story."""
    return Story(settings, capabilities).given(*inputs)


# --- time and market --------------------------------------------------------------------------------------------


def wait(seconds: Number = 0, *, ms: int = 0) -> Input:
    """Time passes; what is due happens."""

    def pass_(story: Story) -> None:
        story.tick(story.now + int(Decimal(seconds) * SECOND) + ms * MILLISECOND)

    return pass_


def until(at: Micros) -> Input:
    """Time passes up to a moment."""

    def pass_(story: Story) -> None:
        story.tick(at)

    return pass_


def quote(bid: Number | None, ask: Number | None) -> Input:
    return lambda story: builders.quote(bid, ask, at=story.now)


def printed(at_price: Number) -> Input:
    return lambda story: builders.printed(at_price, at=story.now)


def bar(
    low: Number, high: Number, close: Number, volume: Number | None = None, *, seconds: int = 60
) -> Input:
    """A bar of so many seconds that ends now."""
    return lambda story: builders.bar(low, high, close, end_at=story.now, seconds=seconds, volume=volume)


def about(trade_no: int | None) -> Input:
    """The answers of the broker that follow are about this trade; None: about the newest."""

    def choose(story: Story) -> None:
        story.chosen = trade_no

    return choose


def silent(story: Story) -> None:
    """The feed goes silent: no quote is carried any more until the next one."""
    story.touch = None


# --- what is decided once more ------------------------------------------------------------------------------------


def again(story: Story) -> list[Event]:
    """What the policies would decide once more on the state as it is, with nothing new told."""
    return repeated(story.book, NAME, story.now)


def repeated(book: Book, name: str, now: Micros) -> list[Event]:
    """What any policy or invariant says of a pipeline on the state after a step: nothing, if all is well."""
    view = View(book.account, book.pipelines[name], now)
    enabled = book.account.settings.policies.enabled
    running = [policy for policy in POLICIES if policy.name in enabled]
    decisions = [decision for policy in running for decision in policy.decide(view)]
    return [*decisions, *invariants.check(view)]
