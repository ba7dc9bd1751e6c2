"""`python -m tests.mutation [FILE...] [--jobs N] [--json FILE]`: change the rules, see whether a test notices.

Not part of the suite: it takes about an hour on one processor. Exit code 1 if less than 90 % of the changes of any
file are noticed and one of the others has no reason: what may survive stands with it in `survivors.txt`.
"""

import argparse
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

from tests.mutation.mutants import Mutant, files, mutants
from tests.mutation.trial import outcomes, unchanged, warm

FOLDERS = ("oms/policies", "oms/stops", "oms/execution", "oms/sizing.py")
REASONS = Path(__file__).with_name("survivors.txt")
LEAST = 0.90


def main(words: list[str] | None = None) -> int:
    """Run the trials and print what survived."""
    options = _parser().parse_args(words)
    chosen = files(*(options.files or FOLDERS))
    reasons = read_reasons(REASONS)
    warm()
    sick = [
        one.file for one, passed in outcomes([unchanged(one) for one in chosen], options.jobs) if not passed
    ]
    if sick:
        print(f"the tests of {', '.join(sorted(sick))} fail without any change", file=sys.stderr)
        return 2
    wanted = [one for file in chosen for one in mutants(file)]
    begun, survivors = time.monotonic(), list[Mutant]()
    for number, (mutant, passed) in enumerate(outcomes(wanted, options.jobs), start=1):
        if passed:
            survivors.append(mutant)
        if number % 50 == 0:
            print(f" {number}/{len(wanted)}  {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    return report(wanted, sorted(survivors), reasons, options.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("files", nargs="*", help=f"modules or folders; default {' '.join(FOLDERS)}")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="trials at a time")
    parser.add_argument("--json", type=Path, help="write the result here as well")
    return parser


def read_reasons(path: Path) -> dict[tuple[str, str, str], str]:
    """Why a change may survive: `file | line of text | change | reason`, one a line. Raises ValueError."""
    found: dict[tuple[str, str, str], str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        parts = line.split(" | ")
        if len(parts) != 4 or not parts[3].strip():
            raise ValueError(f"{path.name} line {number}: file | line of text | change | reason")
        found[parts[0], parts[1], parts[2]] = parts[3]
    return found


def report(
    wanted: list[Mutant],
    survivors: list[Mutant],
    reasons: dict[tuple[str, str, str], str],
    target: Path | None,
) -> int:
    """Print the figures and every survivor; 0 if enough was noticed everywhere."""
    total, alive = Counter(one.file for one in wanted), Counter(one.file for one in survivors)
    for file, count in sorted(total.items()):
        print(f" {file:<36}{count - alive[file]:>4} of {count:<4}{(count - alive[file]) / count:>7.0%}")
    for mutant in survivors:
        reason = reasons.get(mutant.key, "no test notices")
        print(f" {mutant.file}:{mutant.line}  {mutant.what}  |  {mutant.text}  |  {reason}")
    unknown = [one for one in survivors if one.key not in reasons]
    share = 1 - len(survivors) / len(wanted) if wanted else 1.0
    print(
        f" {len(wanted) - len(survivors)} of {len(wanted)} noticed, {share:.1%}; unexplained {len(unknown)}"
    )
    if target is not None:
        body = {
            "changes": len(wanted),
            "noticed": len(wanted) - len(survivors),
            "survivors": [[*one.key, reasons.get(one.key)] for one in survivors],
        }
        target.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    dull = [
        file
        for file, count in sorted(total.items())
        if count - alive[file] < LEAST * count and any(one.file == file for one in unknown)
    ]
    if dull:
        print(f" below {LEAST:.0%}: {', '.join(dull)}")
    return 1 if dull else 0


if __name__ == "__main__":
    sys.exit(main())
