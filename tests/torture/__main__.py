"""`python -m tests.torture`: kill and restart the real thing until something breaks; 1 if anything did.

A report lists every bad case with the command that makes it happen again.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any, Final

from oms.cli.output import Options, Output
from tests.torture import campaign, faults, servers, takeover
from tests.torture.case import Kill, Outcome

ALL: Final = "all"
BAD: Final = ("lost", "duplicates", "naked_over_budget", "other", "failures")


def main(words: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 if anything was lost, doubled, left naked or not proven."""
    arguments = _parser().parse_args(words)
    output = Output(Options(json=arguments.json is not None))
    begun = time.monotonic()
    if arguments.postgres:
        report = _postgres(arguments, output)
    elif arguments.takeovers:
        report = _takeovers(arguments, output)
    else:
        report = _points(arguments, output)
    report["seconds"] = round(time.monotonic() - begun, 1)
    good = not any(report.get(name) for name in BAD)
    text = json.dumps(report)
    if arguments.json:
        Path(arguments.json).write_text(text, encoding="utf-8")
    elif arguments.json is not None:
        output.finish(report, ok=good)
    else:
        output.message(text)
    return 0 if good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="oms torture", allow_abbrev=False, description=__doc__)
    add = parser.add_argument
    add("--points", type=_names, default=ALL, metavar="LIST", help="names separated by commas, or all")
    add("--pairs", action="store_true", help="also every ordered pair of these points")
    add("--chains", type=int, default=0, metavar="N", help="also N cases of three to eight deaths in a row")
    add("--hits", type=int, default=3, metavar="N", help="passes of each single point to die at (default 3)")
    add(
        "--kill",
        type=_kill,
        action="append",
        default=[],
        metavar="POINT:NTH",
        help="one case: these deaths in this order",
    )
    add(
        "--takeovers",
        type=int,
        default=0,
        metavar="N",
        help="instead: writers fight N times over one account",
    )
    add("--postgres", action="store_true", help="instead: kill and hurt a PostgreSQL server of its own")
    add("--server-kills", type=int, default=500, metavar="N", help="with --postgres (default 500)")
    add("--events", type=int, default=1_000_000, metavar="N", help="with --postgres: acknowledged at least")
    add(
        "--downtime",
        type=int,
        default=0,
        metavar="S",
        help="seconds of the day between two lives (default 0)",
    )
    add("--seed", type=int, default=1, help="draws the passes to die at (default 1)")
    add("--workers", type=int, default=os.cpu_count() or 1, help="cases at a time (default: cores)")
    add(
        "--json",
        nargs="?",
        const="",
        metavar="FILE",
        help="the report as one JSON object: last line, or FILE",
    )
    return parser


def _points(arguments: argparse.Namespace, output: Output) -> dict[str, Any]:
    names = arguments.points
    with campaign.pg.empty_database() as conninfo:
        first = campaign.clean(conninfo)
    jobs = [
        campaign.Job(number, kills, arguments.downtime)
        for number, kills in enumerate(_cases(arguments, names, first.passed))
    ]
    outcomes = campaign.run(jobs, arguments.workers, lambda one: _tell(output, one))
    report = campaign.summary([first, *outcomes])
    return {**report, "points_known": len(names), "failures": list(campaign.troubles([first, *outcomes]))}


def _takeovers(arguments: argparse.Namespace, output: Output) -> dict[str, Any]:
    contest = takeover.Contest(arguments.takeovers, seed=arguments.seed)
    outcomes = campaign.contests([contest], 1, lambda one: _tell(output, one))
    verdicts = [one.verdict for one in outcomes if one.verdict is not None]
    return {
        "takeovers": sum(one.struck for one in outcomes),
        "writers": sum(one.writers for one in verdicts),
        "given_up": sum(len(one.given_up) for one in verdicts),
        **campaign.summary(outcomes),
        "failures": list(campaign.troubles(outcomes)),
    }


def _postgres(arguments: argparse.Namespace, output: Output) -> dict[str, Any]:
    with ProcessPoolExecutor(1, mp_context=campaign.FORKING) as pool:
        day = faults.day_under_kills(max(arguments.server_kills // 10, 3), pool)
    with servers.server("torture-faults") as found:
        scenarios = {"day_under_kills": day, **faults.run(found)}
    for name, text in scenarios.items():
        output.message(f"{name}: {text}")
    report = servers.kill_under_load(
        arguments.server_kills, arguments.events, seed=arguments.seed, told=output.message
    )
    failed = [f"{name}: {text}" for name, text in scenarios.items() if text.startswith("FAILED")]
    return {**report, "scenarios": scenarios, "failures": [*report["failures"], *failed]}


def _cases(
    arguments: argparse.Namespace, names: tuple[str, ...], passed: dict[str, int]
) -> Iterator[tuple[Kill, ...]]:
    if arguments.kill:
        return iter([tuple(arguments.kill)])
    plans = [campaign.single(passed, names, arguments.hits, arguments.seed)]
    if arguments.pairs:
        plans.append(campaign.pairs(passed, names, arguments.seed))
    plans.append(campaign.chains(passed, names, arguments.chains, arguments.seed))
    return chain.from_iterable(plans)


def _names(text: str) -> tuple[str, ...]:
    if text == ALL:
        return campaign.all_points()
    return tuple(map(_known, text.split(",")))


def _kill(text: str) -> Kill:
    point, _, nth = text.partition(":")
    if not nth.isdecimal() or int(nth) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} has to be POINT:NTH with NTH from 1 on")
    return Kill(_known(point), int(nth))


def _known(point: str) -> str:
    if point not in campaign.all_points():
        raise argparse.ArgumentTypeError(
            f"there is no point {point!r}; known are {', '.join(campaign.all_points())}"
        )
    return point


def _tell(output: Output, outcome: Outcome) -> None:
    for text in campaign.troubles([outcome]):
        output.message(text)


if __name__ == "__main__":
    sys.exit(main())
