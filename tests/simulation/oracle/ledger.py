"""Shares and cash in double entry: every entry adds up to nothing in every unit it moves."""

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Entry:
    """One booking: (account, unit, amount) lines, and what it was for."""

    what: str
    lines: tuple[tuple[str, str, Decimal], ...]


class Ledger:
    """The client's holdings against the street. Own shares and cash are positive when the client has them."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._balances: dict[tuple[str, str], Decimal] = defaultdict(Decimal)

    def book(self, what: str, *lines: tuple[str, str, Decimal]) -> None:
        """Enter lines. Raises ValueError where they do not balance."""
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for _, unit, amount in lines:
            sums[unit] += amount
        if any(sums.values()):
            raise ValueError(f"{what} does not balance: {dict(sums)}")
        self.entries.append(Entry(what, lines))
        for account, unit, amount in lines:
            self._balances[account, unit] += amount

    def trade(self, what: str, symbol: str, signed: Decimal, price: Decimal) -> None:
        """Shares come (positive) or go, and cash the other way."""
        self.book(
            what,
            ("client", symbol, signed),
            ("street", symbol, -signed),
            ("client", "cash", -signed * price),
            ("street", "cash", signed * price),
        )

    def fee(self, what: str, amount: Decimal) -> None:
        """The client pays."""
        self.book(what, ("client", "cash", -amount), ("broker", "cash", amount))

    def held(self, symbol: str) -> Decimal:
        """The client's shares; negative when short."""
        return self._balances["client", symbol]

    @property
    def cash(self) -> Decimal:
        """The client's cash since the beginning, fees paid."""
        return self._balances["client", "cash"]

    @property
    def fees(self) -> Decimal:
        """What the broker has earned."""
        return self._balances["broker", "cash"]

    def is_balanced(self) -> bool:
        """Whether everything adds up to nothing in every unit."""
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for (_, unit), amount in self._balances.items():
            sums[unit] += amount
        return not any(sums.values())
