"""The link of a row, written out by hand: changing it silently would break every stored log."""

from datetime import date
from hashlib import sha256
from struct import pack

from eventlog.chain import COLUMNS, account_piece, genesis, link, row_pieces
from eventlog.envelope import Envelope, shard_of

SECOND_OF_2000 = 946_684_801_000_000


def text(value: str) -> bytes:
    data = value.encode()
    return pack(">i", len(data)) + data


NULL = pack(">i", -1)


def test_genesis_is_the_documented_hash() -> None:
    assert genesis("sim/paper/é") == sha256(b"oms-chain-v1" + "sim/paper/é".encode()).digest()


def test_link_is_the_documented_hash() -> None:
    event = Envelope(
        seq=5, cause_seq=4, kind="D", type="StopMoved", version=2, trading_day=date(2000, 1, 3),
        logical_time=SECOND_OF_2000, body='{"é": 1}', pipeline="p", trade_no=3, received_at=SECOND_OF_2000 - 1_000_001,
    )  # fmt: skip
    preimage = b"".join([
        pack(">ih", 2, 1), pack(">i", 32), genesis("a"), pack(">ih", 2, shard_of("a")), text("a"),
        pack(">iq", 8, 5), pack(">ii", 4, 2), pack(">iq", 8, 4), text("D"), text("StopMoved"), pack(">ih", 2, 2),
        text("p"), pack(">ii", 4, 3), NULL, NULL, NULL, NULL, pack(">iq", 8, -1), pack(">iq", 8, 1_000_000),
        NULL, NULL, text('{"é": 1}'),
    ])  # fmt: skip
    assert link(genesis("a"), account_piece("a"), row_pieces(event)) == sha256(preimage).digest()


def test_every_column_of_an_envelope_is_linked() -> None:
    assert sorted(COLUMNS) == sorted(Envelope.__struct_fields__)


def test_null_and_empty_text_differ() -> None:
    plain = Envelope(1, 1, "I", "T", 1, date(2024, 1, 1), 0, "{}")
    empty = Envelope(1, 1, "I", "T", 1, date(2024, 1, 1), 0, "{}", pipeline="")
    assert row_pieces(plain) != row_pieces(empty)


def test_many_different_texts_do_not_pile_up() -> None:
    from eventlog import chain

    for number in range(20_000):
        chain.text_piece(f"order {number}")
    assert len(chain._texts) <= 8192
    assert chain.text_piece("order 1") == text("order 1")
