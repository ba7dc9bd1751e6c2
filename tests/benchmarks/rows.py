"""A row of the report: what was measured, what it is compared with, and whether that is good enough."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from msgspec import Struct, to_builtins

Better = Literal["lower", "higher"]
Measured = Literal["value", "ratio"]


class Target(Struct, frozen=True, kw_only=True):
    """What a row has to reach (`must`), what it should reach (`aim`), and whether value or ratio is compared."""

    must: float
    aim: float
    better: Better = "lower"
    of: Measured = "value"

    def is_met(self, measured: float) -> bool:
        """Whether the figure reaches `must`."""
        return self._reaches(measured, self.must)

    def is_aimed(self, measured: float) -> bool:
        """Whether the figure reaches `aim`."""
        return self._reaches(measured, self.aim)

    def _reaches(self, measured: float, limit: float) -> bool:
        return measured <= limit if self.better == "lower" else measured >= limit


class Row(Struct, frozen=True, kw_only=True):
    """A measured figure. `reference` has the unit of `value`; `value` is None where nothing could be measured."""

    name: str
    value: float | None
    unit: str
    target: Target
    reference: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Value by reference."""
        if self.value is None or not self.reference:
            return None
        return self.value / self.reference

    @property
    def compared(self) -> float | None:
        """The figure that the target is about."""
        return self.ratio if self.target.of == "ratio" else self.value

    @property
    def holds(self) -> bool:
        """Whether the target is met; what could not be measured meets nothing."""
        return self.compared is not None and self.target.is_met(self.compared)

    @property
    def is_aimed(self) -> bool:
        """Whether even the aim is reached."""
        return self.compared is not None and self.target.is_aimed(self.compared)

    def as_dict(self) -> dict[str, Any]:
        """The row for a program: `target` is the limit that must be met, `of` says what it limits."""
        return {
            "name": self.name,
            "value": _short(self.value),
            "unit": self.unit,
            "better": self.target.better,
            "reference": _short(self.reference),
            "ratio": _short(self.ratio),
            "of": self.target.of,
            "target": self.target.must,
            "aim": self.target.aim,
            "holds": self.holds,
            "aimed": self.is_aimed,
            "note": self.note,
        }


class Scale(Struct, frozen=True, kw_only=True):
    """How much is measured. Counts that follow from the machine's noise, not from what is measured."""

    passes: int
    rounds: int
    positions: int
    commits: int
    events: int
    verified: int
    replays: int
    has_starts: bool


QUICK = Scale(
    passes=5,
    rounds=151,
    positions=1000,
    commits=300,
    events=100_000,
    verified=15_000,
    replays=5,
    has_starts=False,
)
FULL = Scale(
    passes=9,
    rounds=401,
    positions=2000,
    commits=1500,
    events=200_000,
    verified=100_000,
    replays=5,
    has_starts=True,
)

Group = Callable[[Scale], Iterator[Row]]

COLUMNS = ("figure", "measured", "unit", "reference", "ratio", "must", "aim", "good", "holds")


def cells(row: Row) -> tuple[str, ...]:
    """A row as a person reads it."""
    target = row.target
    sign = "<=" if target.better == "lower" else ">="
    of = "x" if target.of == "ratio" else ""
    verdict = "aim" if row.is_aimed else "yes" if row.holds else "NO"
    return (
        row.name,
        text_of(row.value),
        row.unit,
        text_of(row.reference),
        text_of(row.ratio),
        f"{sign} {text_of(target.must)}{of}",
        f"{sign} {text_of(target.aim)}{of}",
        target.better,
        verdict,
    )


def text_of(value: float | None) -> str:
    """Three digits that count; whole numbers from 1,000 on."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def summary(rows: Sequence[Row], machine: dict[str, Any]) -> dict[str, Any]:
    """The whole report for a program."""
    return {
        "rows": [row.as_dict() for row in rows],
        "missed": [row.name for row in rows if not row.holds],
        "machine": to_builtins(machine),
    }


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
