"""The proof behind demo and backtest: fold again, decide again, check the chain, compare."""

import time
from typing import Any

from msgspec import Struct

from eventlog.log import EventLog
from eventlog.verify import ChainReport, verify_chain
from oms.cli.output import Output
from oms.shell.recovery import recover
from oms.state.digest import digest
from replay.summary import Summary, summarize
from replay.verify import Verification, verify


class Proof(Struct, frozen=True, kw_only=True):
    """What was found. `digest_live` is what the writer published last, if it was there to ask."""

    account: str
    summary: Summary
    verification: Verification
    chain: ChainReport
    digest_live: str
    digest_replayed: str
    seconds: float

    @property
    def is_good(self) -> bool:
        """Whether replay, decisions and chain all agree with the log."""
        same = self.digest_live in ("", self.digest_replayed)
        return same and self.chain.intact and self.verification.result == "identical"


def prove(log: EventLog, account: str, digest_live: str = "") -> Proof:
    """Fold the log, decide every input again, check the chain."""
    begun = time.monotonic()
    book = recover(log, account)
    replayed = digest(book.account, book.pipelines)
    verification = verify(log, account)
    chain = verify_chain(log, account)
    seconds = time.monotonic() - begun
    return Proof(
        account=account,
        summary=summarize(log, account),
        verification=verification,
        chain=chain,
        digest_live=digest_live or replayed,
        digest_replayed=replayed,
        seconds=seconds,
    )


def show(output: Output, proof: Proof) -> None:
    """Print the verdict and the two commands that repeat it."""
    result = proof.verification.result
    said = f"{proof.verification.decisions} decisions made again, byte for byte the same"
    if result != "identical":
        said = f"{result.upper()}: {proof.verification.first_divergence}"
    output.step("verified", said, proof.seconds)
    output.step(
        "chain",
        "intact" if proof.chain.intact else f"BROKEN at {proof.chain.first_bad_seq}: {proof.chain.what}",
    )
    same = proof.digest_live == proof.digest_replayed
    output.step("state", f"live {'==' if same else '!='} replayed, digest {proof.digest_replayed[:16]}")
    output.message("")
    output.message(f" python3 -m oms replay --account {proof.account} --verify")
    if proof.summary.market_orders:
        output.message(f" python3 -m oms why {proof.summary.market_orders[0].seq} --account {proof.account}")


def as_dict(proof: Proof) -> dict[str, Any]:
    """The verdict for a program."""
    return {
        "chain": "intact" if proof.chain.intact else "broken",
        "verify": proof.verification.result,
        "digest_live": proof.digest_live,
        "digest_replayed": proof.digest_replayed,
    }
