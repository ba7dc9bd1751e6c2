"""What a pipeline begins as, and the deadlines of all pipelines."""

from heapq import heapify, heappop, heappush

from oms.config import Settings
from oms.events.session import InstrumentDefined
from oms.formulas.indicators import Atr, Ema
from oms.state.market import Market
from oms.state.pipeline import Pipeline
from oms.values import Micros


class Deadlines:
    """Earliest deadline first. A cache over the state: rebuilt from it, never stored, in no digest."""

    def __init__(self) -> None:
        self._due: dict[str, Micros] = {}
        self._heap: list[tuple[Micros, str]] = []

    def put(self, name: str, due: Micros | None) -> None:
        """Set a pipeline's next deadline, or none."""
        if due is None:
            self._due.pop(name, None)
        elif self._due.get(name) != due:
            self._due[name] = due
            heappush(self._heap, (due, name))
            if len(self._heap) > 64 + 4 * len(self._due):
                self._heap = [(at, one) for one, at in self._due.items()]
                heapify(self._heap)

    def earliest(self) -> Micros | None:
        """The next deadline of any pipeline."""
        heap = self._heap
        while heap and self._due.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else None

    def due(self, now: Micros) -> list[str]:
        """Pipelines whose deadline has come, by (deadline, name). They stay due until put again."""
        heap = self._heap
        found: list[tuple[Micros, str]] = []
        while heap and heap[0][0] <= now:
            entry = heappop(heap)
            # A deadline that was put twice stands in the heap twice; equal entries leave it one after the other.
            if self._due.get(entry[1]) == entry[0] and (not found or found[-1] != entry):
                found.append(entry)
        for entry in found:
            heappush(heap, entry)
        return [name for _, name in found]

    def get(self, name: str) -> Micros | None:
        """The deadline of a pipeline, if it has one."""
        return self._due.get(name)


def new_pipeline(definition: InstrumentDefined, settings: Settings) -> Pipeline:
    """An empty pipeline. Indicator lengths are those of the configuration in force at its definition."""
    market = Market(atr=Atr(length=settings.trail.atr_length), ema=Ema(length=settings.runner.ema_length))
    return Pipeline(instrument=definition, market=market)
