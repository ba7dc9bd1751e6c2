"""One small plan for each entry of the fault catalogue that a simulator can inject: it strikes, and nothing breaks.

One long trade of a hundred shares is entered after a minute and left after four; the fault comes at its worst moment.
What the catalogue expects beyond the invariants is the alert named in the third column.
"""

from typing import Any

from tests.simulation.plan import Fault, Plan, Wish
from tests.simulation.world import World

ENTER, LEAVE, HEAL, END = 60_000, 240_000, 330_000, 420_000
HELD = 120_000
"""A moment at which the position stands, with its bracket."""


def at(kind: str, ms: int = 0, when: int = HELD, quantity: int = 0) -> Fault:
    return Fault(kind=kind, at=when, ms=ms, quantity=quantity, symbol="AAA")


def on(kind: str, occasion: str, nth: int = 1, ms: int = 0, quantity: int = 0) -> Fault:
    return Fault(kind=kind, on=occasion, nth=nth, ms=ms, quantity=quantity)


def small(*faults: Fault, personality: str = "plain", wishes: tuple[Wish, ...] = (), **more: Any) -> Plan:
    main = Wish(at=ENTER, symbol="AAA", quantity=100, risk=60, zone=40)
    leave = Wish(what="leave", at=LEAVE, symbol="AAA")
    switches = {"parts": 1, **more.pop("switches", {})}
    return Plan(
        seed=more.pop("seed", 5), first_day="2026-03-10", personality=personality, calm=True, switches=switches,
        heal_at=HEAL, ends_at=END, wishes=(main, *wishes, leave), faults=faults, **more,
    )  # fmt: skip


GAP = at("gap", quantity=-90)
"""The market falls through the stop."""

NOTHING_WORKS = (
    *(on("reject", "new:STOP", n) for n in range(1, 9)),
    *(on("reject", "new:MARKET", n) for n in range(1, 6)),
    *(on("reject", "new:LIMIT", n) for n in range(2, 9)),
)
"""Neither stops nor exits, for a while: they are tried again and again."""

Row = tuple[str, Plan, str]

ROWS: tuple[Row, ...] = (
    ("B01-same-fill-fifty-times", small(on("copy_message", "in:trade", quantity=50)), ""),
    ("B02-same-fill-split-id", small(on("alias", "trade")), ""),
    ("B03-statuses-repeated", small(switches={"copies_of_statuses": 4}), ""),
    ("B04-fill-before-acknowledgement", small(switches={"ack_delay_ms": 400}), ""),
    ("B05-final-status-before-fill", small(on("early_status", "trade", ms=900)), "gap_detected"),
    ("B07-dropped-fill", small(on("lose_message", "in:trade")), ""),
    ("B07-dropped-fill-of-a-target", small(on("lose_message", "in:trade", 2), at("gap", quantity=70)), ""),
    ("B08-dropped-acknowledgement", small(on("lose_message", "in:accepted")), ""),
    ("B08-dropped-cancel", small(on("lose_message", "in:canceled")), ""),
    ("B08-dropped-rejection", small(on("reject", "new:STOP"), on("lose_message", "in:rejected")), ""),
    ("B09-all-messages-late", small(*(on("late_message", "in:any", n, ms=3000) for n in range(1, 30))), ""),
    ("B10-fills-clogged", small(at("clog", ms=8000, when=ENTER), switches={"copies_of_statuses": 1}), "gap_detected"),
    ("B11-late-fill-after-cancel", small(on("late_fill", "cancel", ms=300)), "late_fill"),
    ("B12-cancel-and-full-fill-cross", small(on("race_fill", "cancel")), ""),
    ("B13-partial-fill-crosses-cancel", small(on("race_part", "cancel")), ""),
    ("B14-replace-and-fill-cross", small(at("gap", quantity=70), switches={"amend_takes_ms": 300, "parts": 4}), ""),
    ("B15-replace-refused-after-fill", small(on("reject", "amend"), at("gap", quantity=70)), ""),
    ("B16-replaced-under-a-new-id", small(at("gap", quantity=70), personality="alpaca"), ""),
    ("B18-overfill", small(on("overfill", "trade", quantity=5)), "overfill"),
    ("B19-wrong-side", small(on("wrong_side", "trade")), "wrong_side"),
    ("B21-stranger-trades", small(at("hand_trade", quantity=-7)), ""),
    ("B22-zero-quantity", small(on("zero_quantity", "trade")), "fill_without_quantity"),
    ("B23-stop-rejected", small(on("reject", "new:STOP")), "stop_rejected"),
    ("B23-stop-rejected-always", small(*(on("reject", "new:STOP", n) for n in range(1, 9))), "stop_rejected"),
    ("B24-stop-cancelled-unasked", small(on("cancel_unasked", "new:STOP", ms=20_000)), "canceled_unasked"),
    ("B25-stop-would-trigger", small(GAP, personality="binance"), ""),
    ("B26-change-of-stop-refused", small(*(on("reject", "amend", n) for n in range(1, 5)), at("gap", quantity=70)), ""),
    ("B27-change-of-stop-unknown", small(on("fail_unknown", "out:amend"), at("gap", quantity=70)), ""),
    ("B27-change-of-stop-lost", small(on("lose_request", "out:amend"), at("gap", quantity=70)), ""),
    ("B28-stop-triggers-while-it-changes", small(at("gap", quantity=70), at("gap", when=HELD + 450, quantity=-200),
                                                 switches={"amend_takes_ms": 900}), ""),
    ("B30-partial-fill-on-stop", small(GAP, switches={"parts": 6}), ""),
    ("B31-stop-limit-does-not-fill", small(on("no_fill", "elected", ms=9000), GAP), ""),
    ("B33-target-rejected", small(on("reject", "new:LIMIT", 2)), "target_rejected"),
    ("B36-one-share-then-nothing", small(on("race_part", "cancel"), switches={"parts": 7}), ""),
    ("B37-entry-rejected", small(on("reject", "new")), "entry_rejected"),
    ("B38-cancel-of-an-unknown-order", small(on("lose_request", "out:new"), on("fail_unknown", "out:new")), ""),
    ("B39-one-code-for-two-facts", small(on("race_fill", "cancel"), personality="bybit"), ""),
    ("B40-submit-times-out-and-lives", small(on("fail_unknown", "out:new")), ""),
    ("B41-submit-never-arrives", small(on("lose_request", "out:new:STOP")), "stop_rejected"),
    ("B42-submit-arrives-minutes-later", small(on("late_request", "out:new:STOP", ms=60_000)), ""),
    ("B42-entry-arrives-minutes-later", small(on("late_request", "out:new", ms=90_000)), ""),
    ("B43-ids-reusable-once-filled", small(on("fail_unknown", "out:new"), switches={"ids_unique": "open"}), ""),
    ("B45-replace-half-done", small(on("half", "amend"), at("gap", quantity=70)), ""),
    ("B46-rate-limit-in-a-bracket", small(switches={"requests_per_second": 2}), ""),
    ("B48-disconnect-in-mid-bracket", small(at("cut", ms=20_000, when=ENTER + 5)), ""),
    ("B49-fill-during-a-disconnect", small(at("cut_losing", ms=9000, when=ENTER + 2)), ""),
    ("B50-disconnect-protection", small(at("cut", ms=20_000), switches={"cancels_after_disconnect_ms": 3000}), ""),
    ("B51-no-data-lost-but-it-was", small(at("cut_losing", ms=4000), on("lose_message", "in:trade", 1)), ""),
    ("B52-reconnect-storm", small(*(at("cut", ms=150, when=HELD + 400 * n) for n in range(60))), ""),
    ("B53-books-without-an-answer", small(on("no_answer", "books", 2), at("cut", ms=500)), ""),
    ("B53-books-incomplete", small(on("incomplete", "books", 2), at("cut", ms=500)), ""),
    ("B54-books-older-than-a-fill", small(on("late_message", "in:books", 2, ms=5000), at("cut", ms=300), GAP), ""),
    ("B56-position-nets-a-manual-trade", small(at("hand_trade", quantity=40), at("cut", ms=300, when=HELD + 900)), ""),
    ("B58-bust-of-the-entry", small(on("bust", "trade", ms=30_000)), ""),
    ("B58-bust-after-a-target", small(on("bust", "trade", ms=80_000), at("gap", quantity=70)), ""),
    ("B59-price-corrected", small(on("correct_price", "trade", ms=5000, quantity=3)), ""),
    ("B60-bust-during-a-disconnect", small(on("bust", "trade", ms=62_000), at("cut_losing", ms=9000)), ""),
    ("B61-correction-before-its-fill", small(on("correct_price", "trade", ms=5), on("late_message", "in:trade", ms=900)), ""),
    ("B61-correction-under-the-same-id-first", small(on("correct_price", "trade", ms=5), on("late_message", "in:trade", ms=900), personality="ibkr"), ""),
    ("B62-corrected-twice", small(on("correct_price", "trade", ms=50), on("correct_quantity", "trade", ms=900)), ""),
    ("B63-bust-after-the-trade", small(on("bust", "trade", ms=220_000)), ""),
    ("B65-replay-on-reconnect", small(at("cut", ms=500), personality="ibkr"), ""),
    ("B70-liquidated-by-the-broker", small(at("hand_trade", quantity=-100), at("hand_cancel_stop", when=HELD + 5)), ""),
    ("M01-stale-quotes", small(at("late_quotes", ms=20_000, when=ENTER)), ""),
    ("M02-frozen-feed", small(at("frozen", ms=20_000)), ""),
    ("M03-crossed-quotes", small(at("crossed", ms=20_000, when=ENTER + 200)), ""),
    ("M04-one-sided-quotes", small(at("one_sided", ms=20_000, when=ENTER + 200)), ""),
    ("M05-fat-print", small(at("spike", quantity=-300)), ""),
    ("M07-gap-below-the-stop", small(GAP), ""),
    ("M08-halt-with-a-position", small(at("halt", ms=30_000), at("gap", when=HELD + 9000, quantity=-90)), ""),
    ("M08-halt-before-the-exit", small(at("halt", ms=30_000, when=LEAVE - 5000)), ""),
    ("M09-halt-in-a-replace", small(at("halt", ms=20_000, when=ENTER + 5001), switches={"amend_takes_ms": 200}), ""),
    ("M11-pause-resume-pause", small(*(at("halt", ms=3000, when=HELD + 9000 * n) for n in range(4))), ""),
    ("M15-silent-market", small(at("silence", ms=40_000, when=ENTER + 100)), ""),
    *((f"C0{n}-dies-around-append-{n}", small(on("crash_before", "append", 10 + n), on("crash_after", "append", 14 + n)), "")
      for n in range(1, 6)),
    *((f"C1{n}-dies-around-command-{n}", small(on("crash", "send", n), on("crash", "sent", n + 2)), "") for n in range(1, 6)),
    ("C12-dies-with-an-answer-in-hand", small(on("crash", "deliver", 7), on("crash", "deliver", 15)), ""),
    ("C13-dies-between-stop-and-target", small(on("crash", "sent", 2)), ""),
    ("C30-dies-again-while-it-recovers", small(*(on("crash_after", "append", n) for n in range(12, 22))), ""),
    ("P01-log-refuses", small(*(on("log_away", "append", n, ms=300) for n in range(12, 30, 3))), ""),
    ("P02-log-does-not-say", small(*(on("log_unknown", "append", n, ms=300) for n in range(12, 30, 3))), ""),
    ("P04-log-is-away", small(on("log_away", "append", 16, ms=15_000)), ""),
    ("W03-dies-between-durable-and-wire", small(on("crash", "send", 1), on("crash", "send", 3)), ""),
    ("W07-another-configuration-while-nothing-works",
     small(at("kill_process", ms=3000, when=ENTER + 2000), *NOTHING_WORKS, other_settings={"gate.messages_per_second": 60}),
     "stop_rejected"),
    ("O01-operator-sells-at-the-broker", small(at("hand_trade", quantity=-40)), ""),
    ("O02-operator-cancels-our-stop", small(at("hand_cancel_stop")), "canceled_unasked"),
    ("O04-kill-pressed-twice", small(at("kill2"), at("kill3", when=HELD + 100), at("kill3", when=HELD + 200),
                                     at("kill1", when=HELD + 300)), ""),
    ("O04-kill-during-recovery", small(at("kill_process", ms=3000), at("kill3", when=HELD + 3001)), ""),
    ("O13-starts-with-a-position", small(at("kill_process", ms=5000, when=1000), at("hand_trade", when=2000, quantity=9)), ""),
    ("T05-deadline-during-downtime", small(at("kill_process", ms=9000, when=ENTER + 800)), ""),
    ("T06-long-pause", small(at("stall", ms=30_000)), ""),
    ("T06-long-pause-in-the-entry", small(at("stall", ms=30_000, when=ENTER + 3)), ""),
    ("G02-status-with-a-lower-count", small(on("late_message", "in:status", 1, ms=4000), switches={"parts": 5, "copies_of_statuses": 1}), ""),
    ("G07-trail-only-while-a-target-fills", small(at("gap", quantity=70), switches={"parts": 5},
                                                 wishes=(Wish(what="trail_only", at=HELD + 2, symbol="AAA"),)), ""),
)  # fmt: skip


def problems(plan: Plan, alert: str) -> list[str]:
    """What is wrong with a row: a violation, a fault that never struck, an alert that was not raised."""
    world = World(plan)
    result = world.run()
    found = [f"{one.invariant}: {one.text}" for one in result.violations]
    found += sorted(
        f"STRUCK: {kind} never did"
        for kind in {one.kind for one in plan.faults if one.nth <= 1} - set(result.struck)
    )
    if alert and alert not in world.checks.scene.memory.get("loud", ()):
        found.append(f"ALERT: nobody was told {alert}")
    return found
