"""Why did this happen: the causes of one event, from its log alone.

Every decision names its input (`cause_seq`); what else it rests on is found where it can be named: the evidence of
a close, the close behind a market order, the order's own history, the trade's acceptance and the request for it,
the rule and the settings it read, from the configuration that was in force.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from eventlog.envelope import Envelope
from eventlog.log import EventLog
from oms.values import Micros
from replay.rules import follows_trade, settings_read
from replay.timetravel import place, row_at
from replay.wording import wording

HISTORY_LIMIT: Final = 40
"""So many events of an order are named; between its first and its last the rest is left out."""
_ALIASING: Final = ("ReplaceRequested", "CancelRequested")


class Step(Struct, frozen=True, kw_only=True):
    """An event as a link of the explanation."""

    seq: int
    kind: str
    type: str
    at: Micros
    text: str
    policy: str = ""


class Setting(Struct, frozen=True, kw_only=True):
    """A setting that the rule read, with the configuration (hash and event) it came from."""

    name: str
    value: Any
    config_sha256: str
    config_seq: int


class Explanation(Struct, frozen=True, kw_only=True):
    """Everything that led to an event. Each tuple is in log order and may be empty.

    `causes` leads from the event's own input backwards; `close` is the wish that an exit carries out.
    """

    account: str
    event: Step
    body: Any
    reason: str
    causes: tuple[Step, ...]
    close: tuple[Step, ...]
    evidence: tuple[Step, ...]
    order: tuple[Step, ...]
    trade: tuple[Step, ...]
    led_to: tuple[Step, ...]
    rule: str
    settings: tuple[Setting, ...]


def explain(log: EventLog, account: str, seq: int) -> Explanation:
    """Explain event `seq`. Raises DomainProblem if the log has none there, UnknownAccount."""
    row = row_at(log, account, place(log, account, seq=seq))
    known = _Known()
    for earlier in log.read(account, 0, seq):
        known.take(earlier)
    return _Explained(log, account, row, known).explanation()


class _Known:
    """What a pass over the log up to the event leaves: places of events, never the events themselves."""

    def __init__(self) -> None:
        self.own: dict[str, str] = {}
        self.orders: dict[str, list[int]] = {}
        self.trades: dict[int, int] = {}
        self.closes: dict[int, list[int]] = {}
        self.configs: list[tuple[int, str]] = []

    def take(self, row: Envelope) -> None:
        """Note a row."""
        if row.type == "ConfigActivated":
            self.configs.append((row.seq, str(_body(row)["config_sha256"])))
        elif row.type == "EntryAccepted" and row.trade_no is not None:
            self.trades[row.trade_no] = row.seq
        elif row.type == "CloseRequested" and row.trade_no is not None:
            self.closes.setdefault(row.trade_no, []).append(row.seq)
        if row.client_order_id is not None or row.broker_order_id is not None:
            self._note_order(row)

    def order_of(self, row: Envelope) -> str | None:
        """The own id of the order that a row is about."""
        for one in (row.client_order_id, row.broker_order_id):
            if one is not None and one in self.own:
                return self.own[one]
        return None

    def _note_order(self, row: Envelope) -> None:
        if row.type == "OrderPlaced" and row.client_order_id is not None:
            self.own[row.client_order_id] = row.client_order_id
        own = self.order_of(row)
        if own is None:
            return
        if row.type in _ALIASING:
            self.own.setdefault(str(_body(row)["wire_id"]), own)
        if row.broker_order_id is not None:
            self.own.setdefault(row.broker_order_id, own)
        self.orders.setdefault(own, []).append(row.seq)


class _Explained:
    """Puts the explanation of one row together."""

    def __init__(self, log: EventLog, account: str, row: Envelope, known: _Known) -> None:
        self._log = log
        self._account = account
        self._row = row
        self._body = _body(row)
        self._known = known

    def explanation(self) -> Explanation:
        row, body = self._row, self._body
        close = self._close()
        closing = _body(close) if close is not None else {}
        reason = str(body.get("reason", ""))
        policy = str(closing.get("policy") or body.get("policy", ""))
        named = (*body.get("evidence", ()), *closing.get("evidence", ()))
        return Explanation(
            account=self._account,
            event=_step(row),
            body=body,
            reason=reason,
            causes=tuple(self._steps([row.cause_seq])) if row.kind == "D" else (),
            close=(_step(close),) if close is not None else (),
            evidence=tuple(self._steps(sorted({int(one) for one in named}))),
            order=tuple(self._steps(self._order())),
            trade=tuple(self._steps(self._trade())),
            led_to=tuple(self._led_to()) if row.kind == "I" else (),
            rule=policy,
            settings=tuple(self._settings(policy, reason, str(body.get("candidate", "")))),
        )

    def _steps(self, seqs: list[int]) -> Iterator[Step]:
        for seq in seqs:
            if 1 <= seq <= self._row.seq:
                yield _step(row_at(self._log, self._account, seq))

    def _close(self) -> Envelope | None:
        """The close that this exit carries out: the newest of its trade with the same reason."""
        row = self._row
        if row.type not in ("OrderPlaced", "ReplaceRequested") or row.trade_no is None or not row.reason:
            return None
        for seq in reversed(self._known.closes.get(row.trade_no, [])):
            found = row_at(self._log, self._account, seq)
            if found.reason == row.reason:
                return found
        return None

    def _order(self) -> list[int]:
        own = self._known.order_of(self._row)
        seqs = [seq for seq in self._known.orders.get(own or "", []) if seq < self._row.seq]
        return seqs if len(seqs) <= HISTORY_LIMIT else [*seqs[:1], *seqs[1 - HISTORY_LIMIT :]]

    def _trade_no(self) -> int | None:
        if self._row.trade_no is not None:
            return self._row.trade_no
        own = self._known.order_of(self._row)
        if own is None:
            return None
        return row_at(self._log, self._account, self._known.orders[own][0]).trade_no

    def _trade(self) -> list[int]:
        """The request of the strategy and our acceptance; the request is the acceptance's input."""
        accepted = self._known.trades.get(self._trade_no() or 0)
        if accepted is None or accepted == self._row.seq:
            return []
        return [row_at(self._log, self._account, accepted).cause_seq, accepted]

    def _led_to(self) -> Iterator[Step]:
        for row in self._log.read(self._account, self._row.seq):
            if row.cause_seq != self._row.seq:
                return
            yield _step(row)

    def _settings(self, policy: str, reason: str, candidate: str) -> Iterator[Setting]:
        names = settings_read(policy, reason, candidate)
        if not names or not self._known.configs:
            return
        in_force = self._known.configs[-1]
        accepted = self._known.trades.get(self._trade_no() or 0)
        opened = in_force
        if accepted is not None:
            name = str(_body(row_at(self._log, self._account, accepted))["config_sha256"])
            opened = next((one for one in reversed(self._known.configs) if one[1] == name), in_force)
        trees = {
            seq: _body(row_at(self._log, self._account, seq))["settings"] for seq in {in_force[0], opened[0]}
        }
        for name in names:
            seq, sha256 = opened if follows_trade(name) else in_force
            found, value = _value(trees[seq], name)
            if found:
                yield Setting(name=name, value=value, config_sha256=sha256, config_seq=seq)


def _step(row: Envelope) -> Step:
    body = _body(row)
    return Step(
        seq=row.seq,
        kind=row.kind,
        type=row.type,
        at=row.logical_time,
        text=wording(row.type, body),
        policy=str(body.get("policy", "")),
    )


def _body(row: Envelope) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.json.decode(row.body)
    return body


def _value(tree: Any, name: str) -> tuple[bool, Any]:
    for part in name.split("."):
        if not isinstance(tree, dict) or part not in tree:
            return False, None
        tree = tree[part]
    return True, tree
