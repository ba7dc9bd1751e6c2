"""From a seed to a plan. Every purpose has its own random stream, so that one kind of fault does not shift another.

Swarm: each seed takes a random subset of fault kinds at random strength. One seed in ten has none, on a calm market,
and must end without an alert; one in twenty is extreme.
"""

from collections.abc import Iterator
from random import Random

from tests.simulation.coverage import SITUATIONS
from tests.simulation.kinds import COUNTED, EVIL, EXTRA, EXTRA_SHARE, RARE, SOON, SPREAD, TIMED, Row
from tests.simulation.plan import CLOSING_MS, Fault, Plan, Setting, Wish

DAYS = ("2026-03-09", "2026-03-09", "2026-03-10", "2026-06-17", "2026-11-27", "2026-11-24")
"""First days: the Monday after the clocks change, plain days, a half day, the days before a holiday."""
SYMBOLS = ("AAA", "BBB", "CCC")
MINUTE = 60_000
CLOSE = 390 * MINUTE
HALF = 210 * MINUTE
HEALED_BEFORE_CLOSE = 8 * MINUTE
"""What was to fail at the forced close has failed by then; three minutes later it goes to market."""

CLOSING_SHARE = 0.2
"""How many plans go into the forced close with positions, and have faults then."""
AIMED_SHARE = 0.15
"""How many of the others have faults that are all aimed at one situation of an order."""
AIMS = 8
FEW_REASONS = (
    ("FORCED_CLOSE",),
    ("KILL_SWITCH", "FORCED_CLOSE"),
    ("STOP_FALLBACK", "GUARD_STOP", "PROTECTION_LOST"),
)
"""Profiles that send a collared limit where others go to market."""
OTHER_SETTINGS_SHARE = 0.25
OTHER_SETTINGS: tuple[tuple[str, tuple[Setting, ...]], ...] = (
    ("gate.messages_per_second", (40, 60)),
    ("stop.type", ("stop_market",)),
    ("stop.replace_mode", ("cancel_then_place",)),
    ("forced_close.mode", ("market",)),
    ("entry.valid_for_ms", (2000,)),
    ("risk.max_gross_exposure", ("50000",)),
)
"""What a process may begin with when another one has ended, beside what the plan has for all."""
AT_A_TIME: tuple[Row, ...] = tuple((kind, (), *rest) for kind, *rest in TIMED if kind not in RARE)
EVILS = {row[0] for row in EVIL}


def plan_of(seed: int, days: int = 1) -> Plan:
    """The plan of a seed."""
    shape = Random(f"shape|{seed}")
    calm = seed % 10 == 0
    extreme = not calm and seed % 20 == 1
    first = shape.choice(DAYS)
    close = HALF if first == "2026-11-27" and days == 1 else CLOSE
    personality = (
        "plain" if calm else shape.choice(["plain", "ibkr", "alpaca", "binance", "bybit", "fix", "evil"])
    )
    symbols = SYMBOLS[: 1 if calm else shape.choice([1, 1, 1, 2, 3])]
    wishes = tuple(one for day in range(days) for one in _wishes(seed, day, symbols, close, calm=calm))
    faults: tuple[Fault, ...] = ()
    aims: tuple[Fault, ...] = ()
    if not calm:
        kinds = _swarm(seed, personality)
        strength = 6 if extreme else shape.choice([1, 2, 3])
        faults = (
            *_faults(seed, kinds, strength, days, close, wishes),
            *_extra(seed, strength, days),
            *_soon(seed, strength, wishes),
        )
    heal = close - shape.choice([45, 45, 25, 8]) * MINUTE
    if not calm and Random(f"closing|{seed}").random() < CLOSING_SHARE:
        wishes = (*wishes, *_into_the_close(seed, days - 1, symbols, close))
        faults = (*faults, *_at_the_close(seed, days - 1, symbols, close))
        aims = _aimed(seed, "closing", days - 1, close - CLOSING_MS)
        heal = close - HEALED_BEFORE_CLOSE
    elif not calm and Random(f"aimed|{seed}").random() < AIMED_SHARE:
        first_wish = Random(f"aim|{seed}").choice(wishes)
        aims = _aimed(seed, "regular", first_wish.day, first_wish.at)
    if any(fault.kind in EVILS for fault in aims):
        personality = "evil"
    return Plan(
        seed=seed,
        first_day=first,
        days=days,
        personality=personality,
        switches={} if calm else _switches(seed),
        settings=_settings(seed, calm=calm),
        other_settings={} if calm else _other_settings(seed),
        symbols=symbols,
        heal_at=heal,
        calm=calm,
        wishes=wishes,
        faults=(*faults, *aims),
    )


def _settings(seed: int, *, calm: bool) -> dict[str, Setting]:
    chance = Random(f"settings|{seed}")
    found: dict[str, Setting] = {}
    if calm:
        return found
    if chance.random() < 0.3:
        found["stop.type"] = "stop_market"
    if chance.random() < 0.2:
        found["forced_close.mode"] = "market"
    if chance.random() < 0.2:
        found["halt.exit_on_resume"] = "always"
    if chance.random() < 0.1:
        found["protection.on_exhausted"] = "kill_switch"
    if chance.random() < 0.1:
        found["stop.replace_mode"] = "cancel_then_place"
    limits = Random(f"limits|{seed}")
    if limits.random() < 0.25:
        found["risk.max_gross_exposure"] = limits.choice(["50000", "90000"])
    if limits.random() < 0.25:
        found["entry.valid_for_ms"] = 2000
    permits = Random(f"permits|{seed}")
    if permits.random() < 0.1:
        found["market_orders.allowed_reasons"] = permits.choice(FEW_REASONS)
    return found


def _other_settings(seed: int) -> dict[str, Setting]:
    """Now and then somebody changes the configuration while no process runs; the next one decides anew as it begins."""
    chance = Random(f"other settings|{seed}")
    if chance.random() >= OTHER_SETTINGS_SHARE:
        return {}
    name, values = chance.choice(OTHER_SETTINGS)
    return {name: chance.choice(values)}


def _switches(seed: int) -> dict[str, bool | int | str | None]:
    """Now and then a broker that no name stands for."""
    chance = Random(f"switches|{seed}")
    found: dict[str, bool | int | str | None] = {}
    if chance.random() < 0.15:
        found["cancels_after_disconnect_ms"] = chance.choice([3000, 10_000])
    if chance.random() < 0.15:
        found["amends_kind"] = False
    if chance.random() < 0.1:
        found["amends_stops"] = False
    if chance.random() < 0.1:
        found["totals_in_trades"] = False
    if chance.random() < 0.1:
        found["reports_trigger"] = False
    if chance.random() < 0.1:
        found["copies_of_statuses"] = 3
    return found


def _wishes(seed: int, day: int, symbols: tuple[str, ...], close: int, *, calm: bool) -> list[Wish]:
    """Three to twelve trade cycles of a day: an entry, then after some minutes its end."""
    chance = Random(f"workload|{seed}|{day}")
    found: list[Wish] = []
    for symbol in symbols:
        at = chance.randint(2, 12) * MINUTE
        for _ in range(chance.randint(3, 12) // len(symbols) + 1):
            if at > close - 12 * MINUTE:
                break
            risk = chance.choice([8, 15, 30, 60, 120])
            found.append(
                Wish(
                    day=day,
                    at=at + chance.randint(0, 59_999),
                    symbol=symbol,
                    side=chance.choice(["LONG", "SHORT"]),
                    quantity=chance.choice([1, 3, 10, 60, 100, 250, 400]),
                    risk=120 if calm else risk,
                    zone=chance.choice([4, 10, 25]),
                    key=chance.choice([0, 0, risk // 2 + 1]),
                    off=0 if calm else chance.choice([0, 0, 2, -20]),
                )
            )
            stay = chance.randint(1, 9) * MINUTE
            if chance.random() < 0.15:
                what = chance.choice(["trail_only", "exhaustion", "monitor"])
                found.append(Wish(what=what, day=day, at=at + stay // 2, symbol=symbol))
            if calm or chance.random() < 0.8:
                found.append(Wish(what="leave", day=day, at=at + stay + MINUTE, symbol=symbol))
            at += stay + chance.randint(3, 40) * MINUTE
    return found if calm else [*found, *_late(seed, day, symbols[0], close)]


def _late(seed: int, day: int, symbol: str, close: int) -> Iterator[Wish]:
    """Now and then an entry is asked for when every position is about to be left."""
    chance = Random(f"late|{seed}|{day}")
    if chance.random() < 0.15:
        at = close - chance.randint(MINUTE, 14 * MINUTE)
        yield Wish(day=day, at=at, symbol=symbol, quantity=10, risk=60, zone=25)


def _into_the_close(seed: int, day: int, symbols: tuple[str, ...], close: int) -> Iterator[Wish]:
    """Positions with wide stops that nobody leaves before the forced close does."""
    chance = Random(f"into the close|{seed}")
    for symbol in symbols:
        for _ in range(2):
            yield Wish(
                day=day,
                at=close - CLOSING_MS - chance.randint(MINUTE // 2, 8 * MINUTE),
                symbol=symbol,
                side=chance.choice(["LONG", "SHORT"]),
                quantity=chance.choice([1, 3, 10, 60, 250]),
                risk=120,
                zone=25,
            )


def _at_the_close(seed: int, day: int, symbols: tuple[str, ...], close: int) -> Iterator[Fault]:
    """Any kinds of faults while positions are closed for the day: timed ones, and early occasions of the others."""
    chance = Random(f"at the close|{seed}")
    timed = [row for row in TIMED if row[0] not in RARE]
    for kind, times, quantities in chance.sample(timed, chance.randint(1, 4)):
        yield Fault(
            kind=kind,
            day=day,
            at=close - CLOSING_MS + chance.choice([0, 1000, 5000, 20_000, 60_000, 300_000]),
            ms=chance.choice(times),
            quantity=chance.choice(quantities),
            symbol=chance.choice(symbols),
        )
    for kind, occasions, times, quantities in chance.sample(COUNTED, chance.randint(2, 8)):
        for _ in range(chance.randint(1, 2)):
            yield Fault(
                kind=kind,
                on=chance.choice(occasions),
                nth=chance.choice([1, 1, 2, 3, 5, 8]),
                ms=chance.choice(times),
                quantity=chance.choice(quantities),
                closing=True,
            )


def _aimed(seed: int, phase: str, day: int, at: int) -> tuple[Fault, ...]:
    """Several kinds of faults in one situation of an order, from a time on; a jump of the price may bring it about."""
    chance = Random(f"aims|{seed}")
    places = [one for one in SITUATIONS if one[2] == phase]
    # A stop or a target in the middle of its execution is rarest.
    places += 2 * [one for one in places if one[0] in ("STOP", "TARGET") and one[1] == "PARTIAL_FILLED"]
    role, state, _ = chance.choice(places)
    near, closing = f"{role}/{state}", phase == "closing"
    found = []
    if chance.random() < 0.6:
        where, ticks = (
            chance.choice([near, f"{role}/SUBMITTED"]),
            chance.choice([-180, -125, -125, 125, 125, 180]),
        )
        found.append(Fault(kind="gap", day=day, at=at, quantity=ticks, near=where))
    for kind, occasions, times, quantities in chance.sample([*COUNTED, *EVIL, *AT_A_TIME], AIMS):
        ms, quantity = chance.choice(times), chance.choice(quantities)
        if occasions:
            on, nth = chance.choice(occasions), chance.choice([1, 1, 1, 2])
            found.append(
                Fault(kind=kind, on=on, nth=nth, ms=ms, quantity=quantity, closing=closing, near=near)
            )
        else:
            found.append(Fault(kind=kind, day=day, at=at, ms=ms, quantity=quantity, near=near))
    return tuple(found)


def _swarm(seed: int, personality: str) -> set[str]:
    chance = Random(f"swarm|{seed}")
    names = [row[0] for row in COUNTED] + [row[0] for row in TIMED if row[0] not in RARE]
    if personality == "evil":
        names += [row[0] for row in EVIL]
    share = chance.choice([0.05, 0.15, 0.3, 0.6])
    kinds = {name for name in names if chance.random() < share}
    if chance.random() < 0.12:
        kinds.add(chance.choice(sorted(RARE)))
    return kinds or {chance.choice(names)}


def _extra(seed: int, strength: int, days: int) -> Iterator[Fault]:
    for name, (kind, occasions, times, quantities) in EXTRA:
        chance = Random(f"extra|{seed}|{name}")
        if chance.random() >= EXTRA_SHARE:
            continue
        for _ in range(chance.randint(1, 3) * strength * days):
            yield Fault(
                kind=kind,
                on=chance.choice(occasions),
                nth=chance.randint(1, 8 * days),
                ms=chance.choice(times),
                quantity=chance.choice(quantities),
            )


def _soon(seed: int, strength: int, wishes: tuple[Wish, ...]) -> Iterator[Fault]:
    rows = {kind: (times, quantities) for kind, times, quantities in TIMED}
    for kind, share in SOON:
        chance = Random(f"soon|{seed}|{kind}")
        if chance.random() >= share:
            continue
        for _ in range(chance.randint(1, 2) * strength):
            near = chance.choice(wishes)
            yield Fault(
                kind=kind,
                day=near.day,
                at=max(near.at + chance.randint(-6000, 4000), 0),
                ms=chance.choice(rows[kind][0]),
                quantity=chance.choice(rows[kind][1]),
                symbol=near.symbol,
            )


def _faults(
    seed: int, kinds: set[str], strength: int, days: int, close: int, wishes: tuple[Wish, ...]
) -> tuple[Fault, ...]:
    found: list[Fault] = []
    for kind, occasions, times, quantities in (*COUNTED, *EVIL):
        chance = Random(f"faults|{seed}|{kind}")
        if kind in kinds:
            for _ in range(chance.randint(1, 4) * strength * days):
                on = chance.choice(occasions)
                nth = chance.randint(1, SPREAD.get(on, 25) * days)
                found.append(
                    Fault(
                        kind=kind, on=on, nth=nth, ms=chance.choice(times), quantity=chance.choice(quantities)
                    )
                )
    entries = [one for one in wishes if one.what == "enter"]
    for kind, times, quantities in TIMED:
        chance = Random(f"faults|{seed}|{kind}")
        if kind not in kinds:
            continue
        for _ in range(1 if kind in RARE else chance.randint(1, 3) * strength * days):
            # Mostly while something is going on.
            near = chance.choice(entries) if entries and chance.random() < 0.85 else None
            day = near.day if near else chance.randrange(days)
            at = near.at + chance.randint(0, 4 * MINUTE) if near else chance.randint(0, close)
            found.append(
                Fault(
                    kind=kind,
                    day=day,
                    at=at,
                    ms=chance.choice(times),
                    quantity=chance.choice(quantities),
                    symbol=near.symbol if near else "",
                )
            )
    return tuple(found)
