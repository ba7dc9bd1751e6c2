"""An oracle on a bench: a quiet market, requests in few words, and what it said."""

from decimal import Decimal
from typing import Any

from tests.simulation.oracle.behaviour import personality
from tests.simulation.oracle.broker import Oracle
from tests.simulation.oracle.floor import Quirk
from tests.simulation.oracle.messages import Amend, Cancel, New, Report, Request

SYMBOL = "AAA"
D = Decimal
MS = 1000


class Bench:
    """An oracle with a market of 99.98 to 100.02, and what it has said."""

    def __init__(self, quirks: dict[tuple[str, int], list[Quirk]] | None = None, **switches: Any) -> None:
        self.oracle = Oracle(personality("plain", parts=1, **switches), 1, quirks)
        self.oracle.list_symbol(SYMBOL, D("0.01"))
        self.oracle.open_session(SYMBOL)
        self.at = 0
        self.said: list[Report] = []
        self.quote("99.98", "100.02")
        self.said.clear()

    def wait(self, ms: int = 1) -> None:
        self.at += ms * MS
        self.oracle.advance(self.at)
        self.said += [report for _, report in sorted(self.oracle.take(), key=lambda one: one[0])]

    def quote(self, bid: str, ask: str) -> None:
        self.at += MS
        self.oracle.quote(SYMBOL, D(bid), D(ask), self.at)
        self.wait(0)

    def do(self, request: Request) -> list[Report]:
        self.at += MS
        before = len(self.said)
        self.oracle.request(request, self.at)
        self.wait(0)
        return self.said[before:]

    def new(
        self, client_id: str = "a", quantity: int = 10, kind: str = "LIMIT", side: str = "BUY", **more: Any
    ) -> list[Report]:
        more.setdefault("limit", D("99") if kind == "LIMIT" else None)
        return self.do(New(client_id, SYMBOL, side, D(quantity), kind, **more))

    def amend(
        self, quantity: int = 10, kind: str = "LIMIT", orig: str = "a", to: str = "b", **more: Any
    ) -> list[Report]:
        more.setdefault("limit", D("98") if kind == "LIMIT" else None)
        return self.do(Amend(to, orig, SYMBOL, D(quantity), kind, **more))

    def cancel(self, orig: str = "a", by: str = "c") -> list[Report]:
        return self.do(Cancel(by, orig, SYMBOL))

    def kinds(self) -> list[str]:
        return [report.kind for report in self.said if report.kind != "fee"]

    @property
    def held(self) -> Decimal:
        return self.oracle.floor.held(SYMBOL)


def kinds(reports: list[Report]) -> list[str]:
    return [report.kind for report in reports if report.kind != "fee"]
