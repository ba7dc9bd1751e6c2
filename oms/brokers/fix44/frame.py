"""The outside of a FIX message: length, checksum, tags and their values.

Bytes that do not add up are refused whole. A field of raw data may hold the separator; its length, which stands
in the field before it, says where it ends.
"""

import re
from typing import Final

from msgspec import Struct

MAX_FRAME: Final = 65_536
"""Longest frame in bytes. A report has a few hundred; the bound keeps a stream without an end out of memory."""
MAX_FIELDS: Final = 2_048

_SOH: Final = b"\x01"
_HEAD: Final = re.compile(rb"8=(FIX\.4\.[124])\x019=(\d{1,6})\x01(?=35=)")
_TAIL: Final = re.compile(rb"10=(\d{3})\x01")
_TAIL_LENGTH: Final = 7
_TAG: Final = re.compile(rb"[1-9]\d{0,4}")
_RAW_DATA: Final = {
    89: 93, 91: 90, 96: 95, 213: 212, 349: 348, 351: 350, 353: 352, 355: 354, 357: 356, 359: 358, 361: 360,
    363: 362, 365: 364, 446: 445, 619: 618, 622: 621,
}  # fmt: skip
"""Tag of raw data -> tag of its length."""


class FrameRefused(Exception):
    """A frame, or a value in it, cannot be read. `code` is stable; `text` says what is wrong."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class Frame(Struct, frozen=True, gc=False):
    """The fields of a proven frame. Of a tag that is repeated (in a group) the first value is kept."""

    version: str
    values: dict[int, str]
    repeated: frozenset[int]


def read_frame(raw: bytes) -> Frame:
    """Prove length and checksum, and split the fields. Values are Latin-1, which loses nothing."""
    if len(raw) > MAX_FRAME:
        raise FrameRefused("oversized", f"{len(raw)} bytes, at most {MAX_FRAME}")
    head = _HEAD.match(raw)
    if head is None:
        raise FrameRefused("bad_header", "BeginString, BodyLength and MsgType do not stand first")
    end = head.end() + int(head[2])
    tail = _TAIL.fullmatch(raw, end) if end + _TAIL_LENGTH == len(raw) else None
    if tail is None or raw[end - 1 : end] != _SOH:
        raise FrameRefused("bad_length", f"BodyLength {int(head[2])} does not lead to the CheckSum")
    if sum(raw[:end]) % 256 != int(tail[1]):
        raise FrameRefused("bad_checksum", f"CheckSum {int(tail[1])}, computed {sum(raw[:end]) % 256}")
    values, repeated = _fields(raw, head.end(), end)
    return Frame(head[1].decode(), values, repeated)


def _fields(raw: bytes, start: int, end: int) -> tuple[dict[int, str], frozenset[int]]:
    values: dict[int, str] = {}
    repeated: set[int] = set()
    count = 0
    while start < end:
        equals = raw.find(b"=", start, end)
        if equals < 0 or not _TAG.fullmatch(raw, start, equals):
            raise FrameRefused("bad_field", f"no tag at byte {start}")
        tag = int(raw[start:equals])
        stop = _value_end(raw, tag, equals + 1, end, values)
        value = raw[equals + 1 : stop].decode("latin-1")
        if not value:
            raise FrameRefused("empty_value", f"tag {tag} has no value")
        if tag in values:
            repeated.add(tag)
        else:
            values[tag] = value
        start = stop + 1
        count += 1
        if count > MAX_FIELDS:
            raise FrameRefused("too_many_fields", f"more than {MAX_FIELDS}")
    return values, frozenset(repeated)


def _value_end(raw: bytes, tag: int, start: int, end: int, values: dict[int, str]) -> int:
    """Where the separator behind a value stands."""
    length = values.get(_RAW_DATA.get(tag, 0))
    if length is None:
        return raw.index(_SOH, start, end)
    stop = start + int(length) if length.isdecimal() and len(length) <= len(str(MAX_FRAME)) else -1
    if not start < stop < end or raw[stop : stop + 1] != _SOH:
        raise FrameRefused("bad_field", f"tag {tag} is not as long as announced")
    return stop
