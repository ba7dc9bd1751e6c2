"""The digest of the state: one for equal states, another for any that differs."""

import os
import subprocess
import sys
from decimal import Decimal

import pytest
from msgspec.structs import replace

from oms.shell.recovery import recover
from oms.state.digest import digest
from replay.verify import verify
from tests.checkout import ROOT
from tests.unit.replay.days import ACCOUNT, TradingDay, busy_day

PRINT = """
from tests.unit.replay.days import busy_day
day = busy_day(3, seconds=60)
print(day.digests[day.runner.head.seq])
"""


@pytest.fixture(scope="module")
def day() -> TradingDay:
    return busy_day(2, seconds=120)


@pytest.mark.req("OM-063")
def test_live_folded_and_decided_again_are_one(day: TradingDay) -> None:
    published = day.runner.published
    book = recover(day.log, ACCOUNT)
    live = digest(published.account, published.pipelines)
    assert live == digest(book.account, book.pipelines) == verify(day.log, ACCOUNT).digest
    assert live == day.digests[day.runner.head.seq]


def test_differs_after_every_step(day: TradingDay) -> None:
    assert len(set(day.digests.values())) == len(day.digests)


def test_the_order_of_a_dict_does_not_matter(day: TradingDay) -> None:
    published = day.runner.published
    turned = {
        name: replace(pipeline, orders=dict(reversed(pipeline.orders.items())))
        for name, pipeline in reversed(published.pipelines.items())
    }
    assert digest(published.account, turned) == digest(published.account, published.pipelines)


def test_the_way_a_number_is_written_does_not_matter(day: TradingDay) -> None:
    published = day.runner.published
    name, pipeline = next(iter(published.pipelines.items()))
    alike = {**published.pipelines, name: replace(pipeline, adjusted=Decimal("0E+3"))}
    other = {**published.pipelines, name: replace(pipeline, adjusted=Decimal("0.0000001"))}
    assert digest(published.account, alike) == digest(published.account, published.pipelines)
    assert digest(published.account, other) != digest(published.account, published.pipelines)


def test_the_hash_seed_does_not_matter() -> None:
    printed = {
        subprocess.run(
            [sys.executable, "-c", PRINT],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(printed) == 1
