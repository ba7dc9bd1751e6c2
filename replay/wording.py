"""One line about a logged event, from its body alone: any log can be read aloud, whatever program wrote it."""

from collections.abc import Callable, Mapping
from typing import Any, Final

Body = Mapping[str, Any]

LENGTH: Final = 110
_IDS: Final = ("instrument", "client_order_id", "broker_order_id", "orig_client_order_id", "wire_id",
               "orig_wire_id", "policy", "evidence", "settings", "received_at", "text", "reason")  # fmt: skip


def wording(type_name: str, body: Body) -> str:
    """What happened, without the type and the ids; never longer than LENGTH."""
    text = _WORDINGS.get(type_name, _fields)(body)
    reason = body.get("reason") or body.get("text")
    if reason and type_name not in _PLAIN:
        text = f"{text}  {reason}".strip()
    return text if len(text) <= LENGTH else text[: LENGTH - 3] + "..."


def _terms(body: Body) -> str:
    parts = [body.get("role", ""), body.get("order_type", ""), body.get("side", ""), body.get("quantity", "")]
    parts.append(body.get("instrument", ""))
    if "price_stop" in body:
        parts.append(f"stop {body['price_stop']}")
    if "price_limit" in body:
        parts.append(f"limit {body['price_limit']}")
    return " ".join(str(part) for part in parts if part)


def _fill(body: Body) -> str:
    return f"{body.get('side')} {body.get('quantity')} {body.get('instrument')} @ {body.get('price')}"


def _quote(body: Body) -> str:
    return f"{body.get('instrument')} {body.get('bid', '-')} / {body.get('ask', '-')}"


def _clock(body: Body) -> str:
    return ", ".join(_quote(quote) for quote in body.get("quotes", ())) or "a deadline came"


def _request(body: Body) -> str:
    said = (
        f"{body.get('strategy')} asks for {body.get('side')} {body.get('quantity')} {body.get('instrument')}"
    )
    return f"{said} at {body.get('ideal')}, stop {body.get('stop')}"


def _accepted(body: Body) -> str:
    said = f"trade {body.get('trade_no')}: {body.get('side')} {body.get('quantity')} {body.get('instrument')}"
    return f"{said} at {body.get('ideal')}, stop {body.get('stop')}"


def _config(body: Body) -> str:
    return f"profile {body.get('profile')}, {str(body.get('config_sha256'))[:12]}"


def _alert(body: Body) -> str:
    return f"{body.get('severity', '')} {body.get('code')} {body.get('text', '')}".strip()


def _fields(body: Body) -> str:
    return " ".join(
        f"{name} {value}"
        for name, value in body.items()
        if name not in _IDS and not isinstance(value, dict | list)
    )


_WORDINGS: Final[Mapping[str, Callable[[Body], str]]] = {
    "OrderPlaced": _terms,
    "ReplaceRequested": _terms,
    "OrderReplaced": _terms,
    "OrderFilled": _fill,
    "QuoteReported": _quote,
    "ClockAdvanced": _clock,
    "EntryRequested": _request,
    "EntryAccepted": _accepted,
    "ConfigActivated": _config,
    "Alerted": _alert,
}
_PLAIN: Final = frozenset({"Alerted", "OrderReplaced"})
"""Types whose wording says the reason already, or has none."""
