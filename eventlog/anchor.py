"""The anchor: what left the database, signed, so that whoever rewrites the log cannot rewrite what is known of it.

A record is one line of canonical JSON: heads of accounts, or the Merkle root of a day with its seals. It is signed
with Ed25519 by a key that never enters the database, and names the hash of the record before it, so that a line
cannot be taken out unseen. A file is one place for it; anything with `append` and `lines` is another.
"""

import fcntl
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct
from msgspec.structs import replace

from eventlog import seal
from eventlog.canon import canonical
from eventlog.envelope import Head
from eventlog.errors import LogError
from eventlog.seal import Seal, Step

START: Final = "0" * 64


class AnchorBroken(LogError):
    """The anchor contradicts itself."""


class AnchoredHead(Struct, frozen=True):
    """Where an account's log ended."""

    account: str
    seq: int
    chain: str
    epoch: int


class Record(Struct, frozen=True, kw_only=True):
    """A line of the anchor. `at` is the wall clock of whoever signed; `key` his public key; all hashes are hex."""

    kind: Literal["heads", "day"]
    number: int
    at: str
    previous: str
    key: str
    heads: tuple[AnchoredHead, ...] = ()
    day: str = ""
    root: str = ""
    seals: tuple[Seal, ...] = ()
    signature: str = ""


class Proof(Struct, frozen=True, kw_only=True):
    """That one account's day was sealed: the seal, its path to the root, and the record that was signed.

    `record` shows no other account: it holds hashes instead of seals, which the signature covers.
    """

    seal: Seal
    path: tuple[Step, ...]
    record: dict[str, Any]


class Anchor(Protocol):
    """A place outside the database that takes lines and never gives one up."""

    def lines(self) -> list[bytes]:
        """All lines, oldest first."""

    def append(self, line: bytes) -> None:
        """Add a line, durably."""


class FileAnchor:
    """An anchor in a file. Let another account, another disk or a version control system own it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[bytes]:
        """All lines, oldest first."""
        return self.path.read_bytes().splitlines() if self.path.exists() else []

    def append(self, line: bytes) -> None:
        """Add a line; it is on the disk when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(descriptor, line + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def load_key(path: Path) -> Ed25519PrivateKey:
    """The signing key of a file of 64 hexadecimal digits; made, readable by its owner alone, if there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(Ed25519PrivateKey.generate().private_bytes_raw().hex() + "\n")
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text(encoding="ascii").strip()))
    except ValueError as error:
        raise LogError(f"{path} holds no signing key of 64 hexadecimal digits") from error


def public_of(key: Ed25519PrivateKey) -> str:
    """The public half, in hexadecimal."""
    return key.public_key().public_bytes_raw().hex()


def anchor_heads(anchor: Anchor, key: Ed25519PrivateKey, heads: Iterable[Head]) -> Record:
    """Let the heads of all accounts leave the database."""
    told = tuple(AnchoredHead(one.account, one.seq, one.chain.hex(), one.epoch) for one in heads if one.seq)
    return _append(anchor, key, Record(kind="heads", number=0, at="", previous="", key="", heads=told))


def anchor_day(anchor: Anchor, key: Ed25519PrivateKey, day: str, seals: Iterable[Seal]) -> Record:
    """Let the root over a day's seals leave the database."""
    ordered = tuple(sorted(seals, key=lambda one: one.account))
    top = seal.root([seal.leaf(one) for one in ordered]).hex()
    blank = Record(kind="day", number=0, at="", previous="", key="", day=day, root=top, seals=ordered)
    return _append(anchor, key, blank)


def records(anchor: Anchor, trusted: str | None = None) -> list[Record]:
    """All records, each checked: its signature (by the `trusted` key, if one is named), its number, what it follows,
    and the root over its seals. Raises AnchorBroken with the number of the first bad one."""
    found: list[Record] = []
    previous = START
    for number, line in enumerate(anchor.lines(), start=1):
        record = _decoded(line, number)
        if record.number != number or record.previous != previous:
            raise AnchorBroken(f"record {number} of the anchor does not follow the one before", record=number)
        _check(record, number, trusted or (found[0].key if found else record.key))
        found.append(record)
        previous = sha256(line).hexdigest()
    return found


def prove(found: list[Record], account: str, day: str) -> Proof:
    """The proof of one account's day, from its newest record. Raises LogError if there is none."""
    for record in reversed(found):
        names = [one.account for one in record.seals]
        if record.day == day and account in names:
            index = names.index(account)
            leaves = [seal.leaf(one) for one in record.seals]
            shown = msgspec.to_builtins(record)
            del shown["seals"]
            shown["seals_sha256"] = _seals_hash(record)
            return Proof(seal=record.seals[index], path=seal.path(leaves, index), record=shown)
    raise LogError(f"the anchor has no seal of account {account} for {day}; seal the day first")


def check_proof(proof: Proof, trusted: str | None = None) -> None:
    """Check a proof with nothing but itself and a public key. Raises AnchorBroken."""
    record = proof.record
    if seal.climb(seal.leaf(proof.seal), proof.path).hex() != record.get("root"):
        raise AnchorBroken("the path does not lead from this seal to the root that was signed")
    if record.get("day") != proof.seal.day:
        raise AnchorBroken(f"the root is that of {record.get('day')}, the seal is of {proof.seal.day}")
    if not _is_signed(record, trusted or str(record.get("key"))):
        raise AnchorBroken("the signature does not fit the record")


def _append(anchor: Anchor, key: Ed25519PrivateKey, record: Record) -> Record:
    lines = anchor.lines()
    previous = sha256(lines[-1]).hexdigest() if lines else START
    at = datetime.now(UTC).isoformat(timespec="seconds")
    signed = replace(record, number=len(lines) + 1, at=at, previous=previous, key=public_of(key))
    signed = replace(signed, signature=key.sign(_preimage(_told(signed))).hex())
    anchor.append(canonical(msgspec.to_builtins(signed)).encode())
    return signed


def _told(record: Record) -> dict[str, Any]:
    """A record as it is signed: seals by one hash, so that a proof need not show them."""
    told: dict[str, Any] = msgspec.to_builtins(record)
    del told["seals"]
    return told | {"seals_sha256": _seals_hash(record)}


def _seals_hash(record: Record) -> str:
    return sha256(canonical(msgspec.to_builtins(record.seals)).encode()).hexdigest()


def _preimage(told: dict[str, Any]) -> bytes:
    return b"oms-anchor-v1\0" + canonical({**told, "signature": ""}).encode()


def _is_signed(told: dict[str, Any], key: str) -> bool:
    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
        public.verify(bytes.fromhex(str(told.get("signature"))), _preimage(told))
    except (ValueError, InvalidSignature):
        return False
    return told.get("key") == key


def _decoded(line: bytes, number: int) -> Record:
    try:
        return msgspec.json.decode(line, type=Record, strict=True)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AnchorBroken(f"record {number} of the anchor cannot be read: {error}", record=number) from error


def _check(record: Record, number: int, trusted: str) -> None:
    if not _is_signed(_told(record), trusted):
        raise AnchorBroken(f"record {number} of the anchor is not signed by {trusted[:16]}", record=number)
    if record.kind == "day":
        leaves = [seal.leaf(one) for one in record.seals]
        if not leaves or seal.root(leaves).hex() != record.root:
            raise AnchorBroken(
                f"record {number} of the anchor has another root than its seals", record=number
            )
