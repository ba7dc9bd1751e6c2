"""An event-sourced order management system that a Python strategy process embeds.

Importing the package costs nothing: each public name loads its module when it is first used. This file and
`__main__` also run on Pythons that are too old for the rest, so that those can be told so.
"""

PUBLIC = {
    "OmsError": "oms.errors",
    "ConfigError": "oms.errors",
    "Settings": "oms.config",
    "load_settings": "oms.config",
    "Oms": "oms.shell.embed",
    "View": "oms.shell.embed",
    "Strategy": "oms.shell.embed",
    "Stamped": "oms.events.base",
    "BarClosed": "oms.events.market",
    "QuoteReported": "oms.events.market",
    "TradePrinted": "oms.events.market",
    "InstrumentDefined": "oms.events.session",
    "SessionOpened": "oms.events.session",
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
