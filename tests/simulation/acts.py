"""What can happen at a time: the market moves, the strategy asks, an operator acts, something breaks."""

from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct

from oms.events.base import Event
from oms.events.market import BarClosed, QuoteReported, TradePrinted
from oms.events.operator import Act, OperatorCommanded
from oms.events.session import DayRolled, VenueStatus, VenueStatusChanged
from oms.events.strategy import (
    EntryRequested,
    ExhaustionReported,
    ExitRequested,
    MonitorReported,
    TrailOnlyRequested,
)
from oms.values import PositionSide, Severity
from tests.simulation.market import Told, mixed
from tests.simulation.plan import Fault, Wish

if TYPE_CHECKING:
    from tests.simulation.timeline import Day

MS = 1000
CENT = Decimal("0.01")
STRATEGY = "plan"


class Weather(Struct):
    """What is unusual about a symbol's market at present; times in ms after the open."""

    silent_until: int = 0
    crossed_until: int = 0
    one_sided_until: int = 0
    wide_until: int = 0
    frozen_until: int = 0
    stale_until: int = 0
    frozen_mid: int = 0
    shift: int = 0
    spike: int = 0


def middle(day: "Day", name: str, at: int) -> int:
    """The middle price in ticks, at a time of the day."""
    weather = day.weather[name]
    if at < weather.frozen_until:
        return weather.frozen_mid
    return max(day.world.paths[name].mid(day.offset + max(at, 0)) + weather.shift + weather.spike, 200)


def quote_of(day: "Day", name: str, at: int) -> tuple[int | None, int | None]:
    """Bid and ask in ticks."""
    weather, mid = day.weather[name], middle(day, name, at)
    half = 1 + mixed(day.world.plan.seed, at, 1) % 2
    if at < weather.wide_until:
        half = 150
    if at < weather.crossed_until:
        return mid + 2, mid - 2
    if at < weather.one_sided_until:
        return None, mid + half
    return mid - half, mid + half


def _price(ticks: int | None) -> Decimal | None:
    return None if ticks is None else ticks * CENT


def tick(day: "Day", at: int) -> None:
    """A new quote of every symbol, now and then a print; the broker sees it first, then we, if the feed works."""
    world = day.world
    if at > day.close_ms:
        return
    for name in world.plan.symbols:
        weather = day.weather[name]
        bid, ask = quote_of(day, name, at)
        wall = day.wall(at)
        world.oracle.quote(name, _price(bid), _price(ask), wall)
        prints = mixed(world.plan.seed, at, 2) % 5 == 0 and not world.oracle.floor.venues[name].halted
        if prints and bid is not None and ask is not None:
            world.oracle.printed(name, bid * CENT, wall)
        world.desk.collect()
        if at < weather.silent_until:
            continue
        received = wall - (5000 * MS if at < weather.stale_until else 0)
        quote = QuoteReported(instrument=name, bid=_price(bid), ask=_price(ask), received_at=received)
        if world.tell(quote):
            world.told[name] = Told(received, wall, quote.bid, quote.ask)
        if prints and bid is not None and ask is not None:
            world.tell(TradePrinted(instrument=name, price=bid * CENT, received_at=received))
        weather.spike = 0


def bar(day: "Day", at: int) -> None:
    """The bar of the last minute."""
    world = day.world
    for name in world.plan.symbols:
        mids = [middle(day, name, at - back) for back in range(60_000, -1, -10_000)]
        wall = day.wall(at)
        closed = BarClosed(
            instrument=name,
            open_at=wall - 60_000 * MS,
            end_at=wall,
            open=mids[0] * CENT,
            high=max(mids) * CENT,
            low=min(mids) * CENT,
            close=mids[-1] * CENT,
        )
        world.tell(closed)


def open_session(day: "Day") -> None:
    """The bell."""
    for name in day.world.plan.symbols:
        day.world.oracle.open_session(name)


def close_session(day: "Day") -> None:
    """The closing bell: day orders expire."""
    for name in day.world.plan.symbols:
        day.world.oracle.close_session(name, day.world.clock)
    day.world.desk.collect()


def new_day(day: "Day") -> None:
    """The account's next day begins, some time before the open."""
    world = day.world
    world.is_closing = False
    world.oracle.roll_day()
    world.pass_until(day.wall(-60_000))
    world.store.ensure_partitions(world.today.session_date, 2)
    world.tell(DayRolled(trading_day=world.today.session_date))
    if not world.is_dead:
        world.attempt(world.define)


def end_day(day: "Day") -> None:
    """After the close: everything durable, the day's books compared."""
    world = day.world
    if world.time is not None:
        world.attempt(world.time.flush)
    if not world.plan.ends_at:
        world.checks.at_day_end()


def heal(day: "Day") -> None:
    """Faults stop: the market is calm, the link stands, the log answers, the process runs."""
    world = day.world
    for name in world.plan.symbols:
        shift = day.weather[name].shift
        day.weather[name] = Weather(shift=shift)
        if world.oracle.floor.venues[name].halted:
            _resume(day, name)
    world.heal()


# The strategy


def wish(day: "Day", one: Wish, at: int) -> None:
    """The strategy asks."""
    day.world.ask(_wished(day, one, at), "strategy:plan")


def _wished(day: "Day", one: Wish, at: int) -> Event:
    intent = f"{one.day}-{one.at}-{one.symbol}"
    common = {"instrument": one.symbol, "strategy": STRATEGY, "intent_id": intent}
    match one.what:
        case "leave":
            return ExitRequested(**common)
        case "trail_only":
            return TrailOnlyRequested(**common)
        case "exhaustion":
            return ExhaustionReported(**common)
        case "monitor":
            return MonitorReported(**common, severity=Severity.CRITICAL, code="BLOW_OFF")
    sign = 1 if one.side == "LONG" else -1
    ideal = middle(day, one.symbol, at) + sign * one.off
    return EntryRequested(
        side=PositionSide[one.side],
        quantity=Decimal(one.quantity),
        ideal=ideal * CENT,
        zone_max=(ideal + sign * one.zone) * CENT,
        stop=max(ideal - sign * one.risk, 1) * CENT,
        key_level=(ideal + sign * one.key) * CENT if one.key else None,
        **common,
    )


# What goes wrong

MARKET = {
    "silence": "silent_until",
    "crossed": "crossed_until",
    "one_sided": "one_sided_until",
    "wide": "wide_until",
    "frozen": "frozen_until",
    "late_quotes": "stale_until",
}
KILLS = {"kill1": 1, "kill2": 2, "kill3": 3, "kill4": 4}
STOPS, LIMITS = ("STOP", "STOP_LIMIT"), ("LIMIT",)


def fault(day: "Day", one: Fault, at: int) -> None:
    """Something breaks, or somebody acts, at this time."""
    world = day.world
    if world.healed:
        return
    world.struck[one.kind] += 1
    world.checks.hit(one.kind)
    names = [one.symbol] if one.symbol in world.plan.symbols else list(world.plan.symbols)
    if one.kind in MARKET or one.kind in ("gap", "spike", "halt", "look"):
        _weather(day, one, names, at)
    elif one.kind in ("cut", "cut_losing"):
        world.desk.cut(world.clock, one.ms, loses=one.kind == "cut_losing")
    elif one.kind == "clog":
        world.desk.clog(world.clock + one.ms * MS)
    elif one.kind == "kill_process":
        world.die(one.ms)
    elif one.kind == "stall":
        _stall(day, one, at)
    else:
        _act(day, one, names[0], at)


def _weather(day: "Day", one: Fault, names: list[str], at: int) -> None:
    """The market turns odd for a while, or jumps; "look" only looks at it."""
    if one.kind == "halt":
        _halt(day, names[0], at, one.ms)
        return
    for name in names:
        weather = day.weather[name]
        if one.kind in MARKET:
            weather.frozen_mid = middle(day, name, at)
            setattr(weather, MARKET[one.kind], at + one.ms)
        elif one.kind == "gap":
            weather.shift += one.quantity
    if one.kind == "spike":
        day.weather[names[0]].spike = one.quantity
    if one.kind not in MARKET:
        tick(day, at)


def _act(day: "Day", one: Fault, name: str, at: int) -> None:
    """People do something: through us, or past us at the broker."""
    world = day.world
    match one.kind:
        case "hand_trade":
            world.oracle.trade_by_hand(name, Decimal(one.quantity), world.clock)
        case "hand_cancel_stop":
            world.oracle.cancel_by_hand(name, world.clock, STOPS)
        case "venue_cancels_all":
            world.oracle.cancel_by_hand(name, world.clock, (*STOPS, *LIMITS, "MARKET"))
        case "pause":
            _operator(day, Act.PAUSE)
            day.later(at + one.ms, "undo", one)
        case "flat":
            _operator(day, Act.FLAT, instrument=name)
        case "close":
            _operator(day, Act.CLOSE, instrument=name)
        case _ if one.kind in KILLS:
            _operator(day, Act.KILL, level=KILLS[one.kind])
        case "cancel_entry":
            _cancel_one(day, name)
        case _:
            raise KeyError(one.kind)
    world.desk.collect()


def _cancel_one(day: "Day", name: str) -> None:
    """An operator cancels the newest working order of ours."""
    runner = day.world.runner
    pipeline = runner.book.pipelines.get(name) if runner is not None else None
    live = [order for order in pipeline.orders.values() if order.is_live] if pipeline is not None else []
    if live:
        _operator(day, Act.CANCEL, instrument=name, client_order_id=live[-1].client_order_id)


def undo(day: "Day", one: Fault, at: int) -> None:
    """Something is over."""
    if one.kind == "halt":
        if day.world.oracle.floor.venues[one.symbol].halted:
            _resume(day, one.symbol)
    elif one.kind == "pause":
        _operator(day, Act.RESUME)


def _operator(day: "Day", act: Act, level: int = 0, **where: str) -> None:
    event = OperatorCommanded(act=act, principal="somebody", reason="planned", level=level, **where)  # type: ignore[arg-type]
    day.world.ask(event, "operator")


def _halt(day: "Day", name: str, at: int, ms: int) -> None:
    world = day.world
    if world.oracle.floor.venues[name].halted:
        return
    world.oracle.halt(name, world.clock)
    world.desk.collect()
    world.tell(VenueStatusChanged(instrument=name, status=VenueStatus.HALTED))
    day.later(at + ms, "undo", Fault(kind="halt", symbol=name))


def _resume(day: "Day", name: str) -> None:
    world = day.world
    world.oracle.resume(name, world.clock)
    world.desk.collect()
    world.tell(VenueStatusChanged(instrument=name, status=VenueStatus.TRADING))


def _stall(day: "Day", one: Fault, at: int) -> None:
    """The process sleeps (a pause of the machine): what was due meanwhile is late."""
    world = day.world
    if world.is_dead:
        return
    assert world.time is not None
    world.clock += one.ms * MS
    world.time.now = world.clock
    world.is_asleep = True
    world.attempt(world.desk.advance, world.clock)
