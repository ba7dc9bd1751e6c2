"""The whole state: account, pipelines and their deadlines. `Book` is what a runner or a replay holds."""

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
        return [name for at, name in sorted((at, name) for name, at in self._due.items() if at <= now)]


def new_pipeline(definition: InstrumentDefined, settings: Settings) -> Pipeline:
    """An empty pipeline. Indicator lengths are those of the configuration in force at its definition."""
    market = Market(atr=Atr(length=settings.trail.atr_length), ema=Ema(length=settings.runner.ema_length))
    return Pipeline(instrument=definition, market=market)


def speculative(pipelines: dict[str, Pipeline], changed: dict[str, Pipeline]) -> dict[str, Pipeline]:
    """The pipelines after a step; the old dict is left as it was."""
    return {**pipelines, **changed} if changed else pipelines


