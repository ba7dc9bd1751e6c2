"""How things are timed: in small blocks, in turns, and judged by the middle of many.

A busy machine adds time to some measurements and never takes any away, so a median of many short blocks says more
than the mean of a long run.
"""

from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter_ns, process_time_ns

Work = Callable[[], object]
Clock = Callable[[], int]
US = 1_000


def seconds(work: Work, clock: Clock = perf_counter_ns) -> float:
    """How long `work` takes once."""
    begun = clock()
    work()
    return (clock() - begun) / 1e9


def in_turns(
    first: Work, second: Work, rounds: int, clock: Clock = perf_counter_ns, *, best: bool = False
) -> tuple[float, float]:
    """Median (or best) seconds of each; who begins changes every round, so that neither always finds a warm cache.

    The best is for runs of seconds: of those there are too few for a median to escape a busy neighbour.
    """
    taken: tuple[list[float], list[float]] = ([], [])
    both = (first, second)
    for number in range(rounds):
        for index in (0, 1) if number % 2 == 0 else (1, 0):
            taken[index].append(seconds(both[index], clock))
    middle = min if best else median
    return middle(taken[0]), middle(taken[1])


def clock_cost_ns(clock: Clock = process_time_ns, times: int = 1001) -> float:
    """What two readings of a clock cost by themselves."""
    costs = []
    for _ in range(times):
        begun = clock()
        costs.append(clock() - begun)
    return median(costs)


def medians(passes: Sequence[Sequence[float]]) -> list[float]:
    """The median of each place over several passes over the same things."""
    return [median(place) for place in zip(*passes, strict=True)]


def percentile(values: Sequence[float], fraction: float) -> float:
    """The smallest value that at least this fraction of all values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, -(-int(fraction * 1000) * len(ordered) // 1000) - 1))]
