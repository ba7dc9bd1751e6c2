"""Canonical body text: exactly what PostgreSQL prints for `body::text` of a jsonb.

Keys sorted by (length in UTF-8 bytes, bytes), separators `", "` and `": "`, no ASCII escaping. The chain
covers this text, so a body that the server would print differently must never be stored.
"""

from collections.abc import Iterable
from typing import Any, NoReturn

import msgspec

from eventlog.errors import Unstorable

INTEGER_LIMIT = 1 << 63
DEPTH_LIMIT = 100
_SORTED_LIMIT = 4096
NUL = "\\u0000"
"""How JSON writes the one character that no database text can hold; a backslash before u0000 looks the same."""
# Bodies of one type have the same keys again and again.
_sorted_keys: set[tuple[str, ...]] = set()


def canonical(value: object) -> str:
    """Canonical text of dicts, lists, texts, integers, booleans and None. Raises Unstorable."""
    try:
        encoded = msgspec.json.encode(_ordered(value, 0))
    except (UnicodeError, TypeError) as error:
        raise Unstorable(f"a body cannot be written as JSON: {error}") from error
    return _spaced(encoded)


def canonical_text(text: str | bytes) -> str:
    """Canonical text of any JSON text; duplicate keys, floats, NaN and big integers raise Unstorable."""
    import json  # The only parser here that sees duplicate keys; not needed where bodies are written.

    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_float=_refuse_number, parse_constant=_refuse_number
        )
    except (ValueError, RecursionError) as error:
        raise Unstorable(f"not a JSON text: {error}") from error
    return canonical(value)


def require_canonical(text: str) -> dict[str, Any]:
    """Assert that a body is canonical and return it decoded. Raises Unstorable, naming the reason."""
    try:
        value = _decoder.decode(text)
        again = _format(_encode(value), indent=0).decode()
    except (ValueError, RecursionError) as error:
        raise Unstorable(f"a body is not storable JSON: {error}") from error
    if again != text:
        raise Unstorable("a body is not canonical: spaces, escapes, numbers or duplicate keys differ")
    if type(value) is not dict:
        raise Unstorable("a body must be a JSON object")
    _require_order(value)
    if NUL in text:
        _ordered(value, 0)  # Tells the character U+0000 from a backslash before u0000.
    return value


def decoded(text: str) -> dict[str, Any]:
    """The value of a canonical body."""
    value: dict[str, Any] = _decoder.decode(text)
    return value


def key_order(key: str) -> tuple[int, bytes]:
    """The sort key of an object key in jsonb."""
    data = key.encode()
    return len(data), data


def _spaced(encoded: bytes) -> str:
    return msgspec.json.format(encoded, indent=0).decode()


def _refuse_number(text: str) -> NoReturn:
    raise Unstorable(f"the number {text} is not an integer; write decimals as text")


_decoder = msgspec.json.Decoder(float_hook=_refuse_number)
_encode, _format = msgspec.json.Encoder().encode, msgspec.json.format


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Unstorable(f"the key {twice!r} stands twice in one object")
    return found


def _ordered(value: object, depth: int) -> object:
    if depth > DEPTH_LIMIT:
        raise Unstorable(f"a body is nested deeper than {DEPTH_LIMIT} levels")
    if value is None or type(value) is bool:
        return value
    if type(value) is str:
        return _storable(value)
    if type(value) is int:
        return _bounded(value)
    if isinstance(value, dict):
        return _ordered_object(value, depth)
    if isinstance(value, list | tuple):
        return [_ordered(item, depth + 1) for item in value]
    raise Unstorable(
        f"a body cannot hold a {type(value).__name__}; write decimals and times as text or integers"
    )


def _ordered_object(value: dict[Any, object], depth: int) -> dict[str, object]:
    for key in value:
        if type(key) is not str:
            raise Unstorable(f"an object key is a {type(key).__name__}, not a text")
        _storable(key)
    return {key: _ordered(value[key], depth + 1) for key in sorted(value, key=key_order)}


def _storable(text: str) -> str:
    if "\0" in text:
        raise Unstorable("a text holds U+0000, which no database text can")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unstorable("a text holds half a surrogate pair") from error
    return text


def _bounded(number: int) -> int:
    if not -INTEGER_LIMIT <= number < INTEGER_LIMIT:
        raise Unstorable(f"the integer {number} needs more than 64 bits; write it as text")
    return number


def _require_order(value: dict[str, Any]) -> None:
    """Walk a decoded body: keys in order, integers in 64 bits, nesting bounded."""
    # Every body of the log comes through here, so that nothing is called for what is usual.
    level: list[dict[str, Any] | list[Any]] = [value]
    for _ in range(DEPTH_LIMIT):
        deeper: list[dict[str, Any] | list[Any]] = []
        for item in level:
            items: Iterable[Any] = item
            if type(item) is dict:
                keys = tuple(item)
                if keys not in _sorted_keys:
                    _require_sorted(keys)
                items = item.values()
            for one in items:
                kind = type(one)
                if kind is str:
                    continue
                if kind is int:
                    if not -INTEGER_LIMIT <= one < INTEGER_LIMIT:
                        _bounded(one)
                elif kind is dict or kind is list:
                    deeper.append(one)
        if not deeper:
            return
        level = deeper
    raise Unstorable(f"a body is nested deeper than {DEPTH_LIMIT} levels")


def _require_sorted(keys: tuple[str, ...]) -> None:
    if list(keys) != sorted(keys, key=key_order):
        raise Unstorable(f"a body is not canonical: its keys {', '.join(keys)} are not in the order of jsonb")
    if len(_sorted_keys) >= _SORTED_LIMIT:
        _sorted_keys.clear()
    _sorted_keys.add(keys)
