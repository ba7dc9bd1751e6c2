"""What a policy sees: one pipeline of an account at one instant. Nothing else reaches a decision."""

from decimal import Decimal
from typing import Final

from msgspec import Struct

from oms.config import Settings
from oms.events.base import Event
from oms.events.broker import CapabilitiesDeclared
from oms.state.account import Account
from oms.state.market import Market
from oms.state.order import Order
from oms.state.pipeline import Pipeline
from oms.state.trade import Trade
from oms.values import MILLISECOND, Micros, Side, TradingPhase

_PHASES: Final = len(TradingPhase)


class View(Struct, frozen=True, gc=False):
    """Account, pipeline and the logical time of the input that is being decided.

    `cause` is the log position of that input, `wish` the input itself where it is a request to this pipeline.
    """

    account: Account
    pipeline: Pipeline
    now: Micros
    cause: int = 0
    wish: Event | None = None

    @property
    def settings(self) -> Settings:
        """The configuration in force for new trades and safety limits."""
        account = self.account
        return account.configs[account.config_sha256]

    @property
    def market(self) -> Market:
        """The pipeline's market."""
        return self.pipeline.market

    @property
    def tick(self) -> Decimal:
        """Smallest price step of the instrument."""
        return self.pipeline.instrument.tick

    @property
    def lot(self) -> Decimal:
        """Smallest quantity step of the instrument."""
        return self.pipeline.instrument.lot

    def settings_of(self, trade: Trade) -> Settings:
        """The configuration the trade was opened under (architecture 5.6)."""
        return self.account.configs[trade.config_sha256]

    @property
    def capabilities(self) -> CapabilitiesDeclared:
        """What the broker can do."""
        return self.account.capabilities

    def modifies_stops(self, trade: Trade) -> bool:
        """Whether a trade's resting stop is changed in place: the broker can, and its own `stop.replace_mode` wants it.
        C-08."""
        return self.capabilities.modify_stop and self.settings_of(trade).stop.replace_mode == "modify"

    def stops_sleep(self) -> bool:
        """Whether a stop that rests at the broker could not trigger now."""
        active = self.capabilities.stop_active_phases
        return len(active) < _PHASES and self.market.phase(self.now) not in active

    def takes_market_orders(self) -> bool:
        """Whether the broker accepts a market order now."""
        return self.market.phase(self.now) in self.capabilities.market_order_phases

    def is_fresh(self) -> bool:
        """Whether the newest quote may be used now."""
        return self.market.is_fresh(self.now, self.settings.market_data.stale_quote_ms * MILLISECOND)

    def ack_timeout(self) -> Micros:
        """How long a request may stay unanswered before its fate is looked for."""
        return self.settings.protection.ack_timeout_ms * MILLISECOND

    def exit_price(self, side: Side) -> Decimal | None:
        """The side of a fresh quote that an order of `side` would meet, else None."""
        return self.market.exit_price(side) if self.is_fresh() else None

    def orders(self, ids: tuple[str, ...]) -> list[Order]:
        """Orders of a role slot."""
        known = self.pipeline.orders
        return [known[one] for one in ids]

    def live(self, ids: tuple[str, ...]) -> list[Order]:
        """Orders of a role slot that may still execute."""
        known = self.pipeline.orders
        return [order for one in ids if (order := known[one]).is_live] if ids else []
