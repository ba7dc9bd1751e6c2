"""FIX 4.4 order reports become inputs. Translation only: no session, no socket, no order state.

    frame --parse--> Report --translate--> events --stamped--> inputs

What cannot be read raises `FrameRefused`, never a guess: the shell appends it as `UnparsedFrame`, and the order is
queried. Reports of FIX 4.1 and 4.2 are read too, with their own words for executions.
"""

from oms.brokers.fix44.frame import FrameRefused
from oms.brokers.fix44.report import ExecType, OrdStatus, Report, parse, report
from oms.brokers.fix44.translate import Executions, stamped, translate

__all__ = [
    "ExecType",
    "Executions",
    "FrameRefused",
    "OrdStatus",
    "Report",
    "parse",
    "report",
    "stamped",
    "translate",
]
