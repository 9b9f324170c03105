"""A run that goes on under other numbers, as when a cluster lends more or less: `make elastic`, or python elastic.py [--report FILE].

    2 ranks, 1 engine, in step ─> 1 rank, 2 engines, one step ahead ─> 2 ranks, 1 engine, in step        two steps each

It holds if each start ends, its newest checkpoint is by as many ranks, versions and draws are in the run once (`toolrl audit`), and engines
and learner agree after every push. That no value changes on the way from two ranks to one and back is for the tests of `learner.reshard`.
"""

import argparse
import sys
import time
from pathlib import Path

from trial import Workplace, audit, circumstances, lines, problems_of, turn, write

COMMON = (
    "rl", "conf/demo.yaml", "loop.prompts_per_batch=8", "sampling.n=4", "eval.prompts=64", "eval.every=2", "checkpoint.every=2",
    "engine.max_num_seqs=64", "engine.threads=1", "cluster.num_cpus=4",
)  # fmt: skip
ENSEMBLES = (
    ("learner.num_ranks=2", "engine.num=1", "loop.max_staleness=0"),
    ("learner.num_ranks=1", "engine.num=2", "loop.max_staleness=1"),
    ("learner.num_ranks=2", "engine.num=1", "loop.max_staleness=0"),
)
STEPS = 2
LIMIT_S = 300.0
PARITY = 1e-5
"""Nats, of the mean; float32 on both sides."""


def go_on(place, number, run):
    """Start the run under the ensemble `number`, and let it end; return a line of the report, and what is wrong."""
    watched = place.start(f"start-{number}", *COMMON, *ENSEMBLES[number], f"run.steps={STEPS * (number + 1)}", f"run.dir={run}")
    code = watched.driver.wait(LIMIT_S)
    seconds = time.monotonic() - watched.started
    left = watched.end()
    problems = problems_of(left)
    if code != 0:
        problems.append(f"exit code {code}:\n{watched.text[-2000:]}")
    files = sorted((run / "checkpoints").glob("version-*/learner/*optim_states.pt"))
    newest = max((path.parents[1].name for path in files), default="")
    written_by = len([path for path in files if path.parents[1].name == newest])
    return {"settings": ENSEMBLES[number], "code": code, "seconds": round(seconds, 1), "newest": newest, "written_by": written_by}, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", type=Path, default=Path("runs/elastic.json"))
    parser.add_argument("--lock", type=Path, help="a file to hold while a run is on, where several share this machine")
    options = parser.parse_args()
    starts, problems = [], []
    with Workplace("elastic") as place, turn(options.lock):
        run = place.folder / "run"
        for number in range(len(ENSEMBLES)):
            started, wrong = go_on(place, number, run)
            starts.append(started)
            problems += wrong
            print(started, flush=True)
        problems += audit(run)
        found = lines(run)
    versions = [line["version"] for line in found]
    if versions != list(range(STEPS * len(ENSEMBLES) + 1)):
        problems.append(f"lines of metrics: {versions}")
    written_by = [each["written_by"] for each in starts]
    if written_by != [2, 1, 2]:
        problems.append(f"checkpoints written by {written_by} ranks, expected 2, 1, 2")
    parity = {line["version"]: line.get("weights/parity_mean_abs_dlogp") for line in found}
    if max(each for each in parity.values() if each is not None) > PARITY:
        problems.append(f"engines and learner disagree: {parity}")
    write({**circumstances(), "starts": starts, "parity": parity, "problems": problems}, options.report)
    print("\n".join(problems) or "passed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
