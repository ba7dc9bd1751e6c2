"""What can go wrong: the kinds of faults, on which occasions, how long and how much."""

Row = tuple[str, tuple[str, ...], tuple[int, ...], tuple[int, ...]]
"""(kind, occasions, ms to choose from, quantity to choose from)"""

COUNTED: tuple[Row, ...] = (
    # The broker decides otherwise.
    ("reject", ("new", "new:STOP", "new:LIMIT", "new:MARKET", "amend", "cancel"), (0,), (0,)),
    ("slow_ack", ("new", "new:STOP"), (300, 1500, 4000, 12_000), (0,)),
    ("cancel_unasked", ("new", "new:STOP", "new:LIMIT"), (5, 800, 15_000, 90_000), (0,)),
    ("half", ("amend",), (0,), (0,)),
    ("race_fill", ("cancel",), (0,), (0,)),
    ("race_part", ("cancel",), (0,), (0,)),
    ("late_fill", ("cancel",), (1, 50, 900, 20_000), (0, 1)),
    ("no_fill", ("elected",), (2000, 7000, 20_000), (0,)),
    ("bust", ("trade", "trade:STOP_LIMIT", "trade:LIMIT"), (10, 900, 40_000), (0,)),
    ("correct_price", ("trade",), (10, 5000), (1, 3)),
    ("correct_quantity", ("trade",), (10, 5000), (0,)),
    ("early_status", ("trade",), (5, 400, 3000), (0,)),
    ("no_answer", ("ask", "books"), (0,), (0,)),
    ("incomplete", ("books",), (0,), (0,)),
    # The link.
    (
        "copy_message",
        ("in:trade", "in:accepted", "in:canceled", "in:replaced", "in:any", "in:status", "in:busted"),
        (0,),
        (1, 2, 7, 50),
    ),
    (
        "lose_message",
        ("in:trade", "in:accepted", "in:canceled", "in:replaced", "in:rejected", "in:triggered", "in:any"),
        (0,),
        (0,),
    ),
    (
        "late_message",
        ("in:trade", "in:accepted", "in:canceled", "in:any", "in:books"),
        (40, 900, 6000, 120_000),
        (0,),
    ),
    ("swap_messages", ("in:trade", "in:accepted", "in:canceled", "in:any", "in:busted"), (0,), (0,)),
    ("lose_request", ("out:new", "out:amend", "out:cancel", "out:new:STOP", "out:any"), (0,), (0,)),
    (
        "late_request",
        ("out:new", "out:amend", "out:cancel", "out:new:STOP", "out:new:ENTRY"),
        (900, 5000, 600_000),
        (0,),
    ),
    ("fail_unsent", ("out:new", "out:amend", "out:cancel", "out:new:STOP"), (0,), (0,)),
    ("fail_unknown", ("out:new", "out:amend", "out:cancel", "out:new:STOP"), (0,), (0,)),
    ("raise_sent", ("out:any", "out:new"), (0,), (0,)),
    # The process and the log.
    ("crash", ("send", "sent", "deliver"), (0,), (0,)),
    ("crash_before", ("append",), (0,), (0,)),
    ("crash_after", ("append",), (0,), (0,)),
    ("log_away", ("append",), (300, 3000, 15_000), (0,)),
    ("log_unknown", ("append",), (0, 300, 3000), (0,)),
)
EVIL: tuple[Row, ...] = (
    ("overfill", ("trade", "trade:LIMIT", "trade:STOP_LIMIT"), (0,), (1, 7)),
    ("wrong_side", ("trade",), (0,), (0,)),
    ("zero_quantity", ("trade",), (0,), (0,)),
    ("alias", ("trade",), (0,), (0,)),
)
TIMED: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = (
    ("silence", (2000, 6000, 40_000), (0,)),
    ("crossed", (1500, 20_000), (0,)),
    ("one_sided", (1500, 20_000), (0,)),
    ("wide", (1500, 20_000), (0,)),
    ("frozen", (5000, 60_000), (0,)),
    ("late_quotes", (5000, 60_000), (0,)),
    ("gap", (0,), (-180, -60, 60, 180)),
    ("spike", (0,), (-300, 300)),
    ("halt", (3000, 60_000, 300_000), (0,)),
    ("cut", (400, 5000, 60_000), (0,)),
    ("cut_losing", (400, 5000, 60_000), (0,)),
    ("clog", (3000, 30_000), (0,)),
    ("kill_process", (0, 3000, 60_000), (0,)),
    ("stall", (1500, 12_000, 90_000), (0,)),
    ("hand_trade", (0,), (-40, -7, 7, 40)),
    ("hand_cancel_stop", (0,), (0,)),
    ("venue_cancels_all", (0,), (0,)),
    ("pause", (60_000,), (0,)),
    ("flat", (0,), (0,)),
    ("close", (0,), (0,)),
    ("cancel_entry", (0,), (0,)),
    ("kill1", (0,), (0,)),
    ("kill2", (0,), (0,)),
    ("kill3", (0,), (0,)),
)
EXTRA: tuple[tuple[str, Row], ...] = (
    ("first books", ("no_answer", ("books:first",), (0,), (0,))),
    ("half of the first books", ("incomplete", ("books:first",), (0,), (0,))),
    (
        "log away with a command",
        ("log_away", ("append:ENTRY", "append:STOP", "append:EXIT"), (300, 3000, 15_000), (0,)),
    ),
    ("log away behind a copy", ("log_away", ("append:again",), (300, 3000), (0,))),
    ("crash with a command", ("crash_after", ("append:ENTRY", "append:STOP", "append:EXIT"), (0,), (0,))),
    ("stop without an answer", ("lose_request", ("out:new:STOP",), (0,), (0,))),
    ("target comes late", ("late_request", ("out:new:TARGET",), (5000, 15_000, 60_000), (0,))),
    ("overfill", ("overfill", ("trade", "trade:LIMIT"), (0,), (1, 7))),
)
"""Kinds from above on occasions that they seldom meet by themselves; each has a random stream of its own name."""
EXTRA_SHARE = 0.08
SOON: tuple[tuple[str, float], ...] = (
    *((kind, EXTRA_SHARE) for kind in ("gap", "silence", "crossed")),
    ("halt", 0.12),
    ("cut", 0.06),
    ("kill_process", 0.04),
    ("pause", 0.1),
    ("kill2", 0.03),
)
"""Kinds from above, and in how many plans they strike within seconds of what the strategy asks for."""
RARE = {"kill1", "kill2", "kill3", "venue_cancels_all", "flat"}
"""At most one of these in a plan, and seldom: afterwards little happens."""
SPREAD = {
    "append": 900,
    "send": 120,
    "sent": 120,
    "deliver": 600,
    "in:any": 500,
    "in:status": 200,
    "out:any": 120,
}
"""How far the number of an occasion may reach; elsewhere 25."""

KINDS = tuple(sorted({row[0] for row in (*COUNTED, *EVIL)} | {row[0] for row in TIMED}))
