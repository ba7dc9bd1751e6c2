"""Acts of people: configuration and commands. Each carries who and why."""

from enum import Enum
from typing import Any

from oms.events.base import Event, register


class Act(Enum):
    """What an operator can do to a running writer."""

    KILL = "KILL"
    FLAT = "FLAT"
    PAUSE = "PAUSE"
    RESUME = "RESUME"
    CLOSE = "CLOSE"
    CANCEL = "CANCEL"
    REARM = "REARM"


@register
class ConfigActivated(Event, frozen=True, kw_only=True):
    """The configuration in force from here on: every resolved setting, and the policies by version."""

    config_sha256: str
    profile: str
    settings: dict[str, Any]
    apply_to_open: bool = False


@register
class OperatorCommanded(Event, frozen=True, kw_only=True):
    """An operator's act. CLOSE names a trade or an instrument, CANCEL an order, or none for all entries."""

    act: Act
    principal: str
    reason: str
    level: int = 0
    instrument: str | None = None
    trade_no: int | None = None
    client_order_id: str | None = None
