"""Six kinds of tampering, seals, anchor and proofs: what was changed is found, at the right event."""

import json
import os
import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from eventlog import anchor, seal
from eventlog.anchor import AnchorBroken, FileAnchor, load_key, public_of, records
from eventlog.chain import account_piece, genesis, link, row_pieces
from eventlog.errors import LogError
from eventlog.judge import heads_of, judge
from eventlog.postgres import PostgresLog
from oms.cli import main
from oms.state.digest import FOLD_VERSION
from tests import pg
from tests.checkout import ROOT
from tests.contract.steps import DAY, step
from tests.unit.replay.days import ACCOUNT, NEXT_DAY, ladder_day

ROWS, ANCHOR_AT = 60, 50
KINDS = ("changed byte", "deleted row", "swapped rows", "cut tail", "rewritten tail", "rolled-back database")
PLACES = int(os.environ.get("OMS_TAMPERING_PLACES", "4"))
"""Random places per kind; more with OMS_TAMPERING_PLACES=1000."""


@pytest.fixture(scope="module", params=pg.MAJORS)
def log(request: pytest.FixtureRequest) -> Iterator[PostgresLog]:
    with pg.database(request.param) as conninfo:
        log = PostgresLog(conninfo)
        log.ensure_partitions(DAY, 2)
        yield log
        log.close()


def relink(connection: Any, log: PostgresLog, account: str, start: int) -> None:
    """What a forger with all rights does: every link from `start` on computed anew, and the head's with them."""
    previous, own = genesis(account), account_piece(account)
    for stored in list(log.read_stored(account, 0, start - 1)):
        previous = stored.chain
    for envelope in list(log.read(account, start - 1)):
        previous = link(previous, own, row_pieces(envelope))
        connection.execute(
            "UPDATE oms.event SET chain = %s WHERE account = %s AND seq = %s",
            (previous, account, envelope.seq),
        )
    connection.execute("UPDATE oms.account_head SET chain = %s WHERE account = %s", (previous, account))


def tamper(log: PostgresLog, account: str, kind: str, place: int) -> None:
    """Do one kind of tampering at a row, as the owner of everything."""
    where = f"account = '{account}' AND seq"
    link_before = f"SELECT chain FROM oms.event WHERE {where} = {place - 1}"
    head = (
        f"UPDATE oms.account_head SET seq = {place - 1}, chain = ({link_before}) WHERE account = '{account}'"
    )
    cut = [f"DELETE FROM oms.event WHERE {where} >= {place}", head]
    statements = {
        "changed byte": [f"UPDATE oms.event SET body = body || '{{\"n\": 0}}' WHERE {where} = {place}"],
        "deleted row": [f"DELETE FROM oms.event WHERE {where} = {place}"],
        "swapped rows": [f"UPDATE oms.event SET seq = -1 WHERE {where} = {place}",
                         f"UPDATE oms.event SET seq = {place}, cause_seq = {place} WHERE {where} = {place + 1}",
                         f"UPDATE oms.event SET seq = {place + 1}, cause_seq = {place + 1} WHERE {where} = -1"],
        "cut tail": cut,
        "rewritten tail": [f"UPDATE oms.event SET body = body || '{{\"n\": 0}}' WHERE {where} = {place}"],
        "rolled-back database": [*cut, f"UPDATE oms.account_head SET epoch = epoch - 1 WHERE account = '{account}'"],
    }  # fmt: skip
    with psycopg.connect(log._conninfo, autocommit=True) as connection:
        for statement in statements[kind]:
            connection.execute(statement.encode())
        if kind == "rewritten tail":
            relink(connection, log, account, place)


def written(log: PostgresLog, account: str, place: Path) -> FileAnchor:
    """A log whose head was anchored after every append up to ANCHOR_AT."""
    found, key = FileAnchor(place / "anchor"), load_key(place / "key")
    head = log.acquire(account, "me")
    for seq in range(1, ROWS + 1):
        head = log.append(head, [step(seq)])
        if seq <= ANCHOR_AT and seq % 5 == 0:
            anchor.anchor_heads(found, key, [head])
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_tampering_is_found_where_it_was_done(log: PostgresLog, kind: str, tmp_path: Path) -> None:
    chance = Random(kind)
    for number in range(PLACES):
        account = f"sim/{kind.replace(' ', '-')}/{number}"
        found = heads_of(records(written(log, account, tmp_path / str(number))), account)
        assert judge(log, account, found).unanchored == ROWS - ANCHOR_AT
        if number % 100 == 99:
            # A test server gathers no statistics by itself, and without them a thousand logs are searched row by row.
            log._connection.execute("ANALYZE oms.event")
        place = chance.randrange(2, ANCHOR_AT)
        tamper(log, account, kind, place)
        verdict = judge(log, account, found)
        first = (place - 1) // 5 * 5 + 1 if kind == "rewritten tail" else place
        assert (verdict.broken, verdict.first_bad_seq) == (kind, first)


def test_a_tail_beyond_the_anchor_is_not_proven_and_its_length_is_told(
    log: PostgresLog, tmp_path: Path
) -> None:
    found = heads_of(records(written(log, "sim/beyond/1", tmp_path)), "sim/beyond/1")
    tamper(log, "sim/beyond/1", "rewritten tail", ANCHOR_AT + 1)
    verdict = judge(log, "sim/beyond/1", found)
    assert (verdict.intact, verdict.anchored_seq, verdict.unanchored) == (True, ANCHOR_AT, ROWS - ANCHOR_AT)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8])
def test_a_path_leads_from_its_leaf_to_the_root_and_no_other_does(count: int) -> None:
    leaves = [sha256(bytes([number])).digest() for number in range(count)]
    for index, one in enumerate(leaves):
        steps = seal.path(leaves, index)
        assert seal.climb(one, steps) == seal.root(leaves)
        assert seal.climb(sha256(one).digest(), steps) != seal.root(leaves)


def a_seal(name: str, **more: Any) -> seal.Seal:
    fields = {
        "account": name,
        "day": "2026-03-09",
        "first_seq": 1,
        "last_seq": 9,
        "chain": "aa",
        "recorded": "bb",
    }
    return seal.Seal(**{**fields, **more})


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_changed_or_missing_line_of_the_anchor_is_found(tmp_path: Path, line: int) -> None:
    found, key = FileAnchor(tmp_path / "anchor"), load_key(tmp_path / "key")
    for day in ("2026-03-09", "2026-03-10", "2026-03-11"):
        anchor.anchor_day(found, key, day, [a_seal("a", day=day), a_seal("b", day=day)])
    whole = found.lines()
    assert len(records(found, public_of(key))) == 3
    found.path.write_bytes(
        b"\n".join([*whole[:line], whole[line].replace(b"2026", b"2027", 1), *whole[line + 1 :]])
    )
    with pytest.raises(AnchorBroken, match=f"record {line + 1} "):
        records(found)
    if line < 2:
        found.path.write_bytes(b"\n".join([*whole[:line], *whole[line + 1 :]]))
        with pytest.raises(AnchorBroken, match="does not follow"):
            records(found)
    found.path.write_bytes(b"\n".join(whole))
    with pytest.raises(AnchorBroken, match="not signed by"):
        records(found, public_of(load_key(tmp_path / "another")))


@pytest.mark.parametrize("change", ["last_seq", "path", "root", "signature", "day"])
def test_a_changed_proof_does_not_hold(tmp_path: Path, change: str) -> None:
    found, key = FileAnchor(tmp_path / "anchor"), load_key(tmp_path / "key")
    anchor.anchor_day(found, key, "2026-03-09", [a_seal("a"), a_seal("b"), a_seal("c")])
    proof = anchor.prove(records(found), "b", "2026-03-09")
    anchor.check_proof(proof, public_of(key))
    assert '"c"' not in json.dumps(proof.record)
    forged = {
        "last_seq": anchor.Proof(seal=a_seal("b", last_seq=8), path=proof.path, record=proof.record),
        "path": anchor.Proof(seal=proof.seal, path=proof.path[1:], record=proof.record),
        "root": anchor.Proof(seal=proof.seal, path=proof.path, record=proof.record | {"root": "00"}),
        "signature": anchor.Proof(seal=proof.seal, path=proof.path, record=proof.record | {"at": "later"}),
        "day": anchor.Proof(seal=proof.seal, path=proof.path, record=proof.record | {"day": "2026-03-10"}),
    }[change]
    with pytest.raises(AnchorBroken):
        anchor.check_proof(forged, public_of(key))


class Desk:
    """A sealed day on a database, and the commands of an auditor."""

    def __init__(self, conninfo: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.conninfo, self.place, self.capsys = conninfo, place, capsys

    def __call__(self, *words: str) -> tuple[int, dict[str, Any]]:
        code = main([*words, "--json"])
        return code, json.loads(self.capsys.readouterr().out.splitlines()[-1])

    def change(self, statement: str) -> None:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    with pg.database() as conninfo:
        log = PostgresLog(conninfo)
        day = ladder_day(log=log)
        day.restart(NEXT_DAY)
        day.clock.flush()
        log.close()
        monkeypatch.setenv("OMS_DATABASE_URL", conninfo)
        monkeypatch.setenv("OMS_ANCHOR", str(tmp_path / "anchor"))
        monkeypatch.setenv("OMS_ANCHOR_KEY", str(tmp_path / "key"))
        yield Desk(conninfo, tmp_path, capsys)


def test_a_day_is_sealed_once_proven_alone_and_verified(desk: Desk) -> None:
    code, sealed = desk("seal")
    assert (code, [one["day"] for one in sealed["sealed"]]) == (0, ["2026-03-09"])
    assert desk("seal")[1]["sealed"] == []
    code, verified = desk("verify")
    assert (code, verified["accounts"][0]["unanchored"]) == (0, 0)
    proof = str(desk.place / "proof.json")
    assert desk("prove", ACCOUNT, "2026-03-09", "--out", proof)[0] == 0
    for name in ("OMS_DATABASE_URL", "OMS_ANCHOR"):
        os.environ[name] = "/nowhere"
    code, proven = desk("verify", "--proof", proof, "--trust", sealed["key"])
    assert (code, proven["seal"]["state"] != "") == (0, True)
    assert desk("verify", "--proof", proof, "--trust", "00" * 32)[0] == 1
    Path(proof).write_bytes(b"\xff{}")
    assert desk("verify", "--proof", proof)[0] == 1


@pytest.mark.parametrize(("statement", "broken"), [
    ("UPDATE oms.event SET recorded_at = recorded_at + interval '1 second' WHERE seq = 9", "changed byte"),
    ("UPDATE oms.day_seal SET last_seq = last_seq - 1", "rewritten tail"),
    ("DELETE FROM oms.day_seal", "rewritten tail"),
    ("UPDATE oms.day_seal SET state_digest = sha256('another')", "rewritten tail"),
    ("DELETE FROM oms.event WHERE seq = 9", "deleted row"),
    ("DELETE FROM oms.account_head", "rolled-back database"),
])  # fmt: skip
def test_what_contradicts_the_anchor_is_reported(desk: Desk, statement: str, broken: str) -> None:
    desk("seal")
    desk.change(statement)
    code, verified = desk("verify")
    assert (code, verified["ok"]) == (1, False)
    assert broken in [one["broken"] for one in verified["accounts"]]


def test_an_exported_log_is_judged_without_a_database(desk: Desk) -> None:
    desk("seal")
    export = desk.place / "log.jsonl"
    assert desk("replay", "--account", ACCOUNT, "--export", str(export))[0] == 0
    assert desk("verify", "--offline", str(export))[0] == 0
    lines = export.read_bytes().splitlines()
    export.write_bytes(b"\n".join([*lines[:12], lines[12].replace(b"AAPL", b"AAPX"), *lines[13:]]) + b"\n")
    code, verified = desk("verify", "--offline", str(export))
    assert (code, verified["accounts"][0]["broken"]) == (1, "changed byte")


def test_a_seal_names_the_state_of_its_day(desk: Desk) -> None:
    """In the database as in the anchor; another fold, or a seal that knew no state, is no contradiction."""
    desk("seal")
    told = records(FileAnchor(desk.place / "anchor"))[0].seals[0]
    with psycopg.connect(desk.conninfo) as connection:
        (stored,) = seal.stored_seals(connection, date.fromisoformat(told.day))
    assert (stored.state, stored.fold_version) == (told.state, FOLD_VERSION)
    assert stored.state != ""
    for change in (
        "state_digest = sha256('x'), fold_version = 999",
        "state_digest = NULL, fold_version = NULL",
    ):
        desk.change(f"UPDATE oms.day_seal SET {change}")
        assert desk("verify")[0] == 0


def test_a_day_sealed_before_with_another_state_is_refused(desk: Desk) -> None:
    desk("seal")
    with psycopg.connect(desk.conninfo, autocommit=True) as connection:
        (stored,) = seal.stored_seals(connection, date(2026, 3, 9))
        seal.save(connection, stored)
        with pytest.raises(LogError, match="another content"):
            seal.save(connection, replace(stored, state="00" * 32))


def test_a_day_that_goes_on_is_not_sealed(desk: Desk) -> None:
    assert [one["day"] for one in desk("seal", "--day", str(NEXT_DAY))[1]["sealed"]] == []


def test_the_walk_of_an_auditor_is_as_written(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a sealed day, when the five commands of the document are typed, then each leads to the next."""
    monkeypatch.chdir(desk.place)
    text = (ROOT / "eventlog/docs.md").read_text(encoding="utf-8")
    block = re.findall(r"### From a suspicious fill.*?```console\n(.*?)```", text, re.DOTALL)[0]
    commands = [line.split()[3:] for line in block.splitlines()]
    names = {"ACCOUNT": ACCOUNT, "DAY": "2026-03-09", "KEY": str(desk("seal")[1]["key"])}
    assert len(commands) == 5
    answers = []
    for words in commands:
        code, answer = desk(*(names.get(word, word) for word in words if word != "--json"))
        assert code == 0, words
        answers.append(answer)
        if len(answers) == 1:
            worst = max(answer["results"][0]["rows"], key=lambda row: Decimal(row["slippage"]))
            names["SEQ"] = str(worst["seq"])
    assert answers[1]["event"]["type"] == "OrderFilled"
    assert answers[2]["accounts"][0]["intact"]
    assert answers[4]["seal"]["first_seq"] <= int(names["SEQ"]) <= answers[4]["seal"]["last_seq"]
