"""An event-sourced order management system that a Python strategy process embeds.

Importing the package costs nothing: each public name loads its module when it is first used. This file and
`__main__` also run on Pythons that are too old for the rest, so that those can be told so.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:  # The same names as in PUBLIC, for type checkers; a test compares them.
    from oms.brokers.simulated import SimulatedBroker as SimulatedBroker
    from oms.config import Settings as Settings
    from oms.config import load_settings as load_settings
    from oms.errors import ConfigError as ConfigError
    from oms.errors import OmsError as OmsError
    from oms.events.base import Stamped as Stamped
    from oms.events.market import BarClosed as BarClosed
    from oms.events.market import QuoteReported as QuoteReported
    from oms.events.market import TradePrinted as TradePrinted
    from oms.events.session import InstrumentDefined as InstrumentDefined
    from oms.events.session import SessionOpened as SessionOpened
    from oms.events.strategy import AddRequested as AddRequested
    from oms.events.strategy import EntryRequested as EntryRequested
    from oms.events.strategy import ExitRequested as ExitRequested
    from oms.shell.embed import Oms as Oms
    from oms.shell.embed import Strategy as Strategy
    from oms.shell.reading import View as View
    from oms.values import PositionSide as PositionSide

PUBLIC = {
    "OmsError": "oms.errors",
    "ConfigError": "oms.errors",
    "Settings": "oms.config",
    "load_settings": "oms.config",
    "Oms": "oms.shell.embed",
    "View": "oms.shell.reading",
    "Strategy": "oms.shell.embed",
    "Stamped": "oms.events.base",
    "BarClosed": "oms.events.market",
    "QuoteReported": "oms.events.market",
    "TradePrinted": "oms.events.market",
    "InstrumentDefined": "oms.events.session",
    "SessionOpened": "oms.events.session",
    "AddRequested": "oms.events.strategy",
    "EntryRequested": "oms.events.strategy",
    "ExitRequested": "oms.events.strategy",
    "PositionSide": "oms.values",
    "SimulatedBroker": "oms.brokers.simulated",
}
"""Public name -> the module that defines it."""

__all__ = sorted(PUBLIC)  # noqa: PLE0605


def __getattr__(name: str) -> object:
    """Load a public name on first use."""
    if name not in PUBLIC:
        raise AttributeError("module 'oms' has no attribute {!r}".format(name))
    from importlib import import_module

    value = getattr(import_module(PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> "list[str]":
    return sorted(set(globals()) | set(PUBLIC))
