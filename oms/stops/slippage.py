"""After an entry fill far from its intent: the fill less the planned risk. OD-109; architecture 10."""

from decimal import Decimal

from oms.state.trade import Trade
from oms.state.view import View


def candidate(_view: View, trade: Trade) -> Decimal | None:
    """The level that the slippage policy has decided on; None as long as no fill was that bad."""
    return trade.slipped_level
