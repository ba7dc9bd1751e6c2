"""Decisions about slippage: what the fills of a trade cost against their intents, and what follows. OD-106..109."""

from decimal import Decimal

from oms.events.base import Part, register
from oms.events.decisions import Decision
from oms.values import Side


class FillSlippage(Part, frozen=True, kw_only=True):
    """One fill against its intent; `seq` is that of its report. `slippage` is price - price_intent, as it is; `cost`
    is what that lost per unit (negative: gained). Without an intent price all three are None."""

    seq: int
    client_order_id: str
    side: Side
    quantity: Decimal
    price: Decimal
    price_intent: Decimal | None = None
    slippage: Decimal | None = None
    cost: Decimal | None = None


@register
class SlippageMeasured(Decision, frozen=True, kw_only=True):
    """A closed trade's fills against their intents. `cost_pct` is the whole cost over the whole intended value, a
    fraction; None where no fill had an intent price. Measured again when a late fact changed the trade."""

    instrument: str
    trade_no: int
    fills: tuple[FillSlippage, ...]
    cost_pct: Decimal | None = None
    policy: str


@register
class SlippageExceeded(Decision, frozen=True, kw_only=True):
    """One fill of an entry was so far from its intent that the stop moves to `level`, the fill less the planned risk.
    `reward_risk` is what is left to the first target over what is left to the stop; None where there is no target."""

    instrument: str
    trade_no: int
    seq: int
    price: Decimal
    price_intent: Decimal
    slippage: Decimal
    cost_pct: Decimal
    level: Decimal
    reward_risk: Decimal | None = None
    policy: str


@register
class SlippageEscalated(Decision, frozen=True, kw_only=True):
    """The average cost of the last `trades` closed trades is above its bound; `measure` is `warn` or `reduce`."""

    instrument: str
    measure: str
    average_pct: Decimal
    trades: int
    effect: str
    policy: str


@register
class SlippageEased(Decision, frozen=True, kw_only=True):
    """The average cost of the last `trades` closed trades is not above its bound any more."""

    instrument: str
    measure: str
    average_pct: Decimal
    trades: int
    policy: str
