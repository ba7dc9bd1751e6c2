"""The market script: a price as a pure function of time, so that looking at it more or less often changes nothing.

Value noise in five octaves; everything in whole ticks and whole milliseconds.
"""

from decimal import Decimal
from random import Random
from typing import Final, NamedTuple

OCTAVES: Final = ((2_500, 3), (15_000, 8), (120_000, 30), (900_000, 90), (7_200_000, 127))
"""(length in ms, amplitude in ticks) of each octave; amplitudes fit a byte."""
BASE: Final = 10_000
DAY_MS: Final = 86_400_000
_MASK: Final = (1 << 64) - 1


class Told(NamedTuple):
    """The newest quote that a process took: when it was received, and when it was told."""

    received: int
    at: int
    bid: Decimal | None
    ask: Decimal | None


class Path:
    """The middle price of one symbol over all days; ticks."""

    def __init__(self, seed: int, symbol: str, days: int, *, calm: bool = False) -> None:
        self._calm = calm
        self._octaves = []
        for octave, (length, amplitude) in enumerate(OCTAVES):
            count = days * DAY_MS // length + 4
            knots = Random(f"{seed}|{symbol}|{octave}").randbytes(count)
            self._octaves.append((length, 2 * amplitude + 1, amplitude, knots))

    def mid(self, at: int) -> int:
        """The middle at a time in ms since midnight of the first day."""
        total = 0
        for length, span, amplitude, knots in self._octaves:
            number, part = divmod(at, length)
            before = knots[number] % span - amplitude
            after = knots[number + 1] % span - amplitude
            total += before + (after - before) * part // length
        return BASE + (total // 2 if self._calm else total)


def mixed(*numbers: int) -> int:
    """A number that looks random and depends on these only; cheap (splitmix64)."""
    found = 0x9E3779B97F4A7C15
    for number in numbers:
        found = (found ^ (number & _MASK)) * 0xBF58476D1CE4E5B9 & _MASK
        found ^= found >> 27
    return (found * 0x94D049BB133111EB & _MASK) >> 20
