"""Time for a live process: logical time advances by elapsed time, whatever the wall clock does.

Architecture 5.1: a wall jump of more than two seconds against elapsed time is suspect, and not adopted.
"""

import time
from typing import Final, Protocol

from oms.values import SECOND, Micros

JUMP_LIMIT: Final = 2 * SECOND


class Clock(Protocol):
    """Something that tells the time in microseconds since 1970 UTC, never backwards."""

    def now(self) -> Micros:
        """The time."""


class SystemClock:
    """The wall clock at the start, then elapsed time. Small differences are drawn in slowly."""

    def __init__(self) -> None:
        self._base = time.time_ns() // 1000
        self._started = time.monotonic_ns() // 1000

    def now(self) -> Micros:
        """Elapsed time on top of the wall time of the start."""
        return self._base + time.monotonic_ns() // 1000 - self._started

    def jump(self) -> Micros:
        """How far the wall clock stands from us; beyond `JUMP_LIMIT` it is suspect."""
        return time.time_ns() // 1000 - self.now()
