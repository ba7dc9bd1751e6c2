"""What happened: every event the log can hold. `docs.md` beside this file is the table of them."""

from oms.events import registry

__all__ = ["registry"]
