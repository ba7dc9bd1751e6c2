"""Planted bugs of closers, admission and the shell."""

from tests.simulation.wrong import Wrong, wrong

POLICIES = "oms/policies/"
ADMISSION = "oms/execution/admission.py"
RUNNER = "oms/shell/runner.py"
VIRTUAL = "oms/shell/virtual.py"
GATE = "oms/shell/gate.py"
COUNTED = "oms/shell/counted.py"

SHELL: tuple[Wrong, ...] = (
    wrong(
        "the fallback of a stop-limit never comes",
        POLICIES + "stop_fallback.py",
        "    if order.triggered_at is not None and view.now - order.triggered_at >= _patience(view, trade):",
        "    if False:",
    ),
    wrong(
        "a partly filled stop is left to itself",
        POLICIES + "stop_fallback.py",
        "    if order.filled > ZERO:",
        "    if False:",
    ),
    wrong(
        "a lost protection closes nothing",
        POLICIES + "protection.py",
        "        if not evidence and not _too_long(view, trade):",
        "        if True:",
    ),
    wrong(
        "the forced close comes at its end only",
        POLICIES + "forced_close.py",
        "    if bounds is None or view.now < bounds[0]:",
        "    if bounds is None or view.now < bounds[1]:",
    ),
    wrong(
        "there is no forced close",
        POLICIES + "forced_close.py",
        "    if bounds is None or view.now < bounds[0]:",
        "    if True:",
    ),
    wrong(
        "the guard never fires",
        POLICIES + "guard_stop.py",
        "    printed = market.last is not None and market.last_at is not None and market.last_at > guard.armed_at",
        "    return\n    printed = False",
    ),
    wrong(
        "kill lowers the level",
        POLICIES + "kill_switch.py",
        "        if level > account.kill_level:",
        "        if level != account.kill_level:",
    ),
    wrong(
        "kill does not flatten",
        POLICIES + "kill_switch.py",
        "        if view.account.kill_level >= FLATTEN:",
        "        if False:",
    ),
    wrong(
        "kill lets entries pass",
        ADMISSION,
        "    if account.kill_level >= 1:",
        "    if account.kill_level >= 9:",
    ),
    wrong(
        "entries are not paused",
        ADMISSION,
        "    if account.paused:",
        "    if False:",
    ),
    wrong(
        "entries do not wait for the books",
        ADMISSION,
        "    if not account.connected or not account.reconciled:",
        "    if False:",
    ),
    wrong(
        "an entry is taken in a halt",
        ADMISSION,
        "    if view.market.is_halted:",
        "    if False:",
    ),
    wrong(
        "an entry is taken in the forced-close window",
        ADMISSION,
        "    if is_forced_close(view):",
        "    if False:",
    ),
    wrong(
        "a trade begins beside another one",
        ADMISSION,
        '        return "not_flat", f"{wish.instrument} still has an open trade or position"',
        "        return None",
    ),
    wrong(
        "a market order comes without evidence",
        "oms/execution/market_orders.py",
        "    if not evidence:\n",
        "    evidence = ()\n    if False:\n",
        (
            POLICIES + "exit.py",
            "        yield exit_at_market(view, trade, quantity, policy=NAME, reason=close.reason, evidence=close.evidence)",
            '        yield exit_at_market(view, trade, quantity, policy=NAME, reason="KILL_SWITCH", evidence=())',
        ),
    ),
    wrong(
        "the market is entered in a halt's stead of a limit",
        "oms/execution/market_orders.py",
        "    if permitted and view.takes_market_orders():",
        "    if True:",
    ),
    wrong(
        "commands leave before they are stored",
        VIRTUAL,
        "        result = self._runner.step(stamped)\n        if result.commands or self._runner.is_full:",
        "        result = self._runner.step(stamped)\n        if result.commands:\n            self._dispatcher.dispatch(list(result.commands), self.now)\n            self._runner.flush()\n        elif self._runner.is_full:",
    ),
    wrong(
        "a restart sends the outbox again",
        VIRTUAL,
        "        self._settle(self.now)\n        for _ in range(1000):",
        "        from oms.commands import decode\n\n        rows = self._runner._log.outbox(self._runner.head.account)\n        self._release([decode(row.body) for row in rows])\n        self._settle(self.now)\n        for _ in range(1000):",
    ),
    wrong(
        "nobody looks at the books while the link stands",
        "oms/shell/books.py",
        "        return due if self._close_at is None else min(due, self._close_at)",
        "        return None",
    ),
    # A correction must be lost on a link that never falls afterwards: one seed in several hundred.
    Wrong(
        "the day ends without its executions",
        (
            (
                "oms/shell/books.py",
                "is_whole = is_due or any(self._whole_told_at < close <= now for close in self._closes)",
                "is_whole = is_due",
            ),
        ),
        start=700_100,
    ),
    wrong(
        "what is under way is asked about because it is not listed",
        POLICIES + "reconciliation.py",
        "not in view.pipeline.questions and not _is_awaited(view, order):",
        "not in view.pipeline.questions:",
    ),
    wrong(
        "a restart does not ask for the books",
        VIRTUAL,
        "        self.books.ask(self._asked_at(), self.now)\n        failpoints",
        "        failpoints",
    ),
    wrong(
        "a refused batch is lost",
        RUNNER,
        "            self._book.rollback()\n            self._undone = [one.stamped for one in batch]",
        "            self._book.rollback()\n            self._undone = []",
    ),
    wrong(
        "a refused batch stays in memory",
        RUNNER,
        "            self._book.rollback()\n            self._undone = [one.stamped for one in batch]",
        "            self._undone = [one.stamped for one in batch]",
    ),
    wrong(
        "time may go back",
        RUNNER,
        "        return stamped if stamped.logical_time >= latest else replace(stamped, logical_time=latest)",
        "        return stamped",
    ),
    wrong(
        "what was owed is not sent",
        RUNNER,
        "        return owed + commands",
        "        return commands",
    ),
    wrong(
        "a command is sent whatever its age",
        "oms/shell/dispatcher.py",
        "            if valid_until is not None and commands.adds_risk(command) and now > valid_until:",
        "            if False:",
    ),
    wrong(
        "entries leave before stops",
        "oms/shell/dispatcher.py",
        "    return commands.priority(command), command.seq",
        "    return -commands.priority(command), command.seq",
    ),
    wrong(
        "a failure to send is forgotten",
        "oms/shell/dispatcher.py",
        "            self._tell(event, command, now)\n\n    def _tell",
        "            del event\n\n    def _tell",
    ),
    wrong(
        "the gate's budget is not given back",
        COUNTED,
        "        return order.missing * price",
        "        return order.quantity * price",
        (COUNTED, "    for trade in pipeline.open():", "    for trade in pipeline.trades.values():"),
    ),
    wrong(
        "the gate takes a fall for a rise",
        GATE,
        "            amount = abs(pipeline.position) *",
        "            amount = sum(one.filled for one in pipeline.orders.values()) *",
    ),
    wrong(
        "quotes beyond a level are not logged",
        "oms/shell/market_filter.py",
        "    return through or breached",
        "    return False",
    ),
    wrong(
        "a silent feed is not noticed",
        "oms/shell/market_filter.py",
        "            if self._warned.get(name) != last:",
        "            if False:",
    ),
    wrong(
        "deadlines are forgotten at a restart",
        "oms/shell/recovery.py",
        "    book.reschedule()\n",
        "",
    ),
    wrong(
        "ids repeat after a restart",
        "oms/commands.py",
        'f"oid1|{log_id}|{account}|{epoch}|{seq}|{leg}"',
        'f"oid1|{log_id}|{account}|{seq % 50}|{leg}"',
    ),
    wrong(
        "what a look finds is not followed up",
        "oms/shell/books.py",
        "        return any(times <= TRIES for times in self._odds.values())",
        "        return False",
    ),
    wrong(
        "what is odd about an order is told and not asked about",
        "oms/step.py",
        "            if anomaly.wants_query and own is not None and pipeline is not None and own not in asked:",
        "            if False:",
    ),
    wrong(
        "openers work on under a kill",
        POLICIES + "entry.py",
        "    if view.account.kill_level >= CANCEL_OPENERS:",
        "    if False:",
    ),
    wrong(
        "the broker is asked as if it knew what is held back",
        "oms/shell/virtual.py",
        "for one in (*self._held, *coming) if",
        "for one in coming if",
    ),
    wrong(
        "the broker is asked as if it knew what leaves behind the question",
        "oms/shell/virtual.py",
        "self.books.ask(self._asked_at(commands), self.now)",
        "self.books.ask(self._asked_at(), self.now)",
    ),
    Wrong(
        "what was settled before it has left leaves all the same",
        (
            (
                "oms/shell/virtual.py",
                "        commands = [one for one in commands if self._is_wanted(one)]",
                "        commands = list(commands)",
            ),
        ),
        start=931_100,
    ),
)
