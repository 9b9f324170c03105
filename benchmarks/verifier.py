"""Verdicts per second on one core, from the text of a completion to its verdict, and beside BFCL's official checker.

    python benchmarks/verifier.py [--bfcl FOLDER] [--official PYTHON]

`--bfcl` is a folder of BFCL's question files with `possible_answer/`; without it two built-in questions stand in. `--official` is an
interpreter that has the package bfcl-eval (`pip install bfcl-eval`, in an environment of its own): its decoding and checking of the same
calls, as the text that a prompted model writes, is measured in the same run, in turns with ours. Processor time, and the best of several
rounds, because a shared machine only ever makes a round slower. Ours also reads the reasoning, checks the form and explains each fault.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from verifier_items import PARALLEL, Question, cases, questions

from toolrl.reward.verifier import MODES, make_verifier

ROUNDS, ROUND_S = 7, 0.02
TARGETS = {False: 30_000, True: 15_000}
"""Verdicts per second aimed at on single and on parallel calls."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bfcl", type=Path, help="folder of BFCL's question files")
    parser.add_argument("--official", help="interpreter that has bfcl-eval")
    options = parser.parse_args()
    by_kind()
    beside_official(options.bfcl, options.official)


def by_kind() -> None:
    """Every mode on every kind of completion."""
    print(f"{'completion':20}{'':12}{'calls':>6}" + "".join(f"{mode:>12}" for mode in MODES) + "  verdicts/s")
    below = []
    for case in cases():
        for kind, text in case.texts.items():
            rates = [rate(make_verifier(mode), case.prompt, text) for mode in MODES]
            print(f"{kind:20}{case.name:12}{len(case.prompt.reference):6}" + "".join(f"{each:12,.0f}" for each in rates), flush=True)
            below += [f"{mode} {kind}, {case.name}" for mode, each in zip(MODES, rates, strict=True) if each < TARGETS[case.parallel]]
    print(f"\nbelow {TARGETS[False]:,}/s on single or {TARGETS[True]:,}/s on parallel calls: {'; '.join(below) or 'none'}")


def rate(verifier, prompt, text) -> float:
    best, count = float("inf"), 20
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(count):
            verifier(prompt, text)
        seconds = time.process_time() - start
        best = min(best, seconds / count)
        count = max(20, int(ROUND_S / best))
    return 1 / best


def beside_official(folder: Path | None, interpreter: str | None) -> None:
    """Mode bfcl on BFCL's questions, in turns with the official checker where there is one."""
    groups: dict[str, list[Question]] = defaultdict(list)
    for kind, question in questions(folder):
        groups[f"{'parallel' if question.category in PARALLEL else 'single'}, {kind}"].append(question)
    ours, theirs, disagree = defaultdict(list), defaultdict(list), 0
    with tempfile.TemporaryDirectory() as scratch:
        worker = start_worker(interpreter, Path(scratch) / "items.json", groups) if interpreter else None
        for _ in range(ROUNDS):
            for group, items in groups.items():
                seconds, right = judge_all(items)
                ours[group].append(seconds)
                if worker is not None:
                    answer = ask(worker, group)
                    theirs[group].append(answer["seconds"])
                    disagree += right != answer["valid"] and sum(a != b for a, b in zip(right, answer["valid"], strict=True))
        if worker is not None:
            worker.stdin.close()
            worker.wait(10)
    print(f"\nmode bfcl on {'BFCL' if folder else 'built-in'} questions; decode + check of the official checker on the same calls")
    print(f"{'':24}{'items':>7}{'ours/s':>12}{'official/s':>12}{'ratio':>8}")
    for group, items in groups.items():
        fast = len(items) / min(ours[group])
        slow = len(items) / min(theirs[group]) if theirs else None
        print(f"{group:24}{len(items):7}{fast:12,.0f}" + (f"{slow:12,.0f}{fast / slow:8.1f}" if slow else f"{'–':>12}{'–':>8}"))
    if worker is None:
        print("for the official rates give --official PYTHON, an interpreter of its own with bfcl-eval installed")
    else:
        print(f"verdicts that differ: {disagree // ROUNDS}")


def judge_all(items: list[Question]) -> tuple[float, list[bool]]:
    verifier = make_verifier("bfcl")
    start = time.process_time()
    verdicts = [verifier(item.prompt, item.text) for item in items]
    return time.process_time() - start, [verdict.reward == 1.0 for verdict in verdicts]


def start_worker(interpreter: str, file: Path, groups: dict[str, list[Question]]) -> subprocess.Popen:
    file.write_text(json.dumps({group: [dict(item.official) for item in items] for group, items in groups.items()}))
    program = Path(__file__).with_name("verifier_official.py")
    worker = subprocess.Popen([interpreter, program, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if worker.stdout.readline().strip() != "ready":
        sys.exit(f"{interpreter} could not run the official checker: see above; it needs `pip install bfcl-eval`")
    return worker


def ask(worker: subprocess.Popen, group: str) -> dict:
    worker.stdin.write(group + "\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())


if __name__ == "__main__":
    main()
