"""How a simulated broker is set up, and the bundle that its rules work on."""

from typing import Final

from msgspec import Struct

from oms.brokers.simulated.ledger import Ledger
from oms.brokers.simulated.script import Script
from oms.events.broker import CapabilitiesDeclared
from oms.fills import MODELS, FillModel
from oms.fills.base import draw
from oms.fills.costs import Schedule
from oms.values import MILLISECOND, Micros

SOURCE: Final = "sim"


class Settings(Struct, frozen=True, kw_only=True):
    """A simulated broker. `name` and `seed` enter all ids: give another account or a fresh book another name.
    With `extended_hours` orders execute before the open too.

    Latency is one way and applies to commands and to replies.
    """

    seed: int = 1
    name: str = "sim"
    fill_model: str = "realistic"
    capabilities: CapabilitiesDeclared = CapabilitiesDeclared(client_ids_unique_for_ever=True)
    costs: Schedule | None = None
    latency_min: Micros = 1 * MILLISECOND
    latency_max: Micros = 4 * MILLISECOND
    script: Script = ()
    extended_hours: bool = False

    @property
    def prefix(self) -> str:
        """What all ids of this broker start with."""
        return f"{self.name}-{self.seed}"


class Floor(Struct, frozen=True):
    """The ledger and the rules it is run by."""

    ledger: Ledger
    settings: Settings
    model: FillModel


def open_floor(ledger: Ledger, settings: Settings) -> Floor:
    """Raises KeyError for a fill model that does not exist."""
    assert 0 <= settings.latency_min <= settings.latency_max
    return Floor(ledger, settings, MODELS[settings.fill_model])


def latency(floor: Floor, message: str) -> Micros:
    """One-way travel time of a message by its name.

    A command is named by its place in the log, not by an order id: those carry the account and the log, and the
    same day played twice would be filled differently.
    """
    settings = floor.settings
    span = settings.latency_max - settings.latency_min + 1
    return settings.latency_min + draw(settings.seed, message, 0) % span
