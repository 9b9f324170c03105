"""The command: break files, run commands, tell what came of it; exit 1 if anything was wrong.

PYTHONPATH=tests/mutations python -m mutator [--rounds N] [--seed S …] [--only WORD] [--limit N]
"""

import argparse
import os
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("HF_HUB_OFFLINE", "1")
from mutator.campaign import REFUSED, WENT_ON, WOULD_START, Outcome, World, cases

SLOWEST = 3


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="mutator", description="Break every file that a command reads.")
    parser.add_argument("--rounds", type=int, default=3, help="times that every mutation of every file is made, each time another")
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    parser.add_argument("--only", default="", help="cases that have this in their name")
    parser.add_argument("--messages", action="store_true", help="print every message")
    options = parser.parse_args()
    start = time.monotonic()
    with TemporaryDirectory() as folder:
        world = World(_made(Path(folder) / "world"))
        found = []
        for seed in options.seed:
            for case in cases(seed, options.rounds):
                if options.only in str(case):
                    found.append(outcome := world.run(case))
                    if options.messages or outcome.problems:
                        print(
                            f"{outcome.case}\n    {outcome.what}: {outcome.message.strip()[:700]}",
                            *outcome.problems,
                            sep="\n  ! ",
                            flush=True,
                        )
    _report(found, time.monotonic() - start)
    return 1 if any(outcome.problems for outcome in found) else 0


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _report(found: list[Outcome], seconds: float) -> None:
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for outcome in found:
        kinds[outcome.case.kind.name][outcome.what] += 1
        kinds[outcome.case.kind.name]["wrong"] += bool(outcome.problems)
    print(f"\n{'kind':30}{'files':>8}{'refused':>10}{'went on':>10}{'would start':>13}{'wrong':>8}")
    for kind, counts in kinds.items():
        files = sum(counts.values()) - counts["wrong"]
        print(f"{kind:30}{files:8}{counts[REFUSED]:10}{counts[WENT_ON]:10}{counts[WOULD_START]:13}{counts['wrong']:8}")
    for outcome in sorted(found, key=lambda each: -each.seconds)[:SLOWEST]:
        print(f"{outcome.seconds:.2f} s: {outcome.case}")
    wrong = sum(bool(outcome.problems) for outcome in found)
    print(f"{len(found):,} mutated files, {wrong} handled wrongly, in {seconds:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
