"""kill -9 at random moments of one run, resumed each time: `make kills`, or python kills.py [--kills 20] [--seed 0] [--report FILE].

    a run that nobody disturbs ─> how long its parts take ─> moments, drawn by seed ─> another run, killed at each ─> both compared

It holds if the run ends, each draw is in it once with the tokens of the undisturbed run, each version has one line of metrics, `toolrl
audit` finds nothing, the final weights are those of the undisturbed run to 1e-4, and no kill left a process, a port or a file behind.
"""

import argparse
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from family import command_line, ports_of
from trial import Workplace, audit, circumstances, lines, problems_of, turn, write

STEPS, PROMPTS, GROUP = 30, 8, 8
SETTINGS = (
    "rl", "conf/demo.yaml", f"run.steps={STEPS}", f"loop.prompts_per_batch={PROMPTS}", f"sampling.n={GROUP}", "eval.prompts=32",
    "eval.every=10", "checkpoint.every=2", "engine.max_num_seqs=64", "loop.max_staleness=0", "run.seed=0",
)  # fmt: skip
LIMIT_S = 300.0
"""Hard limit of one start."""
WEIGHTS_BOUND = 1e-4
AT_THE_START, IN_A_SAVE, AT_THE_END = 0.25, 0.3, 0.1
"""Shares of the kills: while the run starts, while a checkpoint is written, after the last batch; the others come at any time between."""


@dataclass(frozen=True)
class Life:
    """How long the parts of an undisturbed run take, in seconds."""

    start_s: float
    step_s: float
    save_s: float
    end_s: float


@dataclass(frozen=True)
class Moment:
    """When to kill: `delay_s` after the run has reached `version`, or began to save it, or was started."""

    where: str
    version: int
    delay_s: float


def moments(seed, number, life):
    """Draw the moments of `number` kills, in the order of their versions; those during a start are spread among them."""
    rng = random.Random(seed)
    counts = {"start": round(number * AT_THE_START), "save": round(number * IN_A_SAVE), "end": round(number * AT_THE_END)}
    counts["step"] = number - sum(counts.values())
    longest = {"start": life.start_s, "save": life.save_s, "end": life.end_s, "step": 2 * life.step_s}
    drawn = [
        Moment(where, STEPS if where == "end" else rng.randrange(STEPS - 2), rng.uniform(0, longest[where]))
        for where, count in counts.items()
        for _ in range(count)
    ]
    return sorted(drawn, key=lambda moment: moment.version)


def measure(watched, run):
    """Follow an undisturbed run to its end, and return how long its parts took."""
    saves, since = [], None
    while watched.driver.running():
        if time.monotonic() - watched.started > LIMIT_S:
            watched.driver.wait(0)
        saving = is_saving(run)
        if saving and since is None:
            since = time.monotonic()
        if since is not None and not saving:
            saves.append(time.monotonic() - since)
            since = None
        threading.Event().wait(0.002)
    now, stamps = time.time() - time.monotonic(), [line["time"] for line in lines(run)]
    if watched.driver.wait(LIMIT_S) != 0:
        raise SystemExit(f"the undisturbed run failed:\n{watched.text}")
    summary_s = (run / "summary.json").stat().st_mtime - stamps[-1]
    steps = sorted(later - earlier for earlier, later in pairwise(stamps))
    return Life(stamps[0] - now - watched.started, steps[len(steps) // 2], sorted(saves)[len(saves) // 2], summary_s)


def is_saving(run):
    """Say whether a checkpoint is being written."""
    return any((run / "checkpoints").glob(".tmp-*"))


def reached(moment, run, watched):
    """Say whether the delay of a moment begins now."""
    if moment.where == "start":
        return True
    if "started in" not in watched.text:  # until then there may be lines that are about to be taken out
        return False
    made = max((line["version"] for line in lines(run)), default=-1)
    return made >= moment.version and (moment.where != "save" or is_saving(run))


def kill(number, moment, run, place):
    """Start the run, kill its driver at `moment`, and return a line of the report."""
    watched = place.start(f"start-{number}", *SETTINGS, f"run.dir={run}")
    end = watched.started + LIMIT_S
    while not (came := reached(moment, run, watched)) and watched.driver.running() and time.monotonic() < end:
        threading.Event().wait(0.002)
    threading.Event().wait(moment.delay_s)
    alive = watched.driver.running()
    seconds = time.monotonic() - watched.started
    watched.driver.kill()
    family = watched.family.alive()  # they have not noticed yet
    watched.ports = ports_of(family)
    state = {"stage": stage(run, watched, family), "made": max((line["version"] for line in lines(run)), default=None)}
    left = watched.end()
    problems = problems_of(left)
    if not came and alive:
        problems.append(f"it did not come to that within {LIMIT_S:g} s:\n{watched.text[-2000:]}")
    if not alive:
        problems.append(f"it had ended before:\n{watched.text[-2000:]}")
    return {"kill": number, **asdict(moment), "at_s": round(seconds, 2), **state, **left, "problems": problems}


def stage(run, watched, family):
    """Say what the run was doing, from the names that its actors bear and the files that are half made."""
    doing = {pid: command_line(pid) for pid in family}
    calls = sorted({name.split(".", 1)[1].split()[0] for name in doing.values() if name.startswith("ray::") and "." in name.split()[0]})
    found = []
    if "started in" not in watched.text:
        found.append("starting")
    found += [name for name, pattern in (("saving", "checkpoints/.tmp-*"), ("exporting", ".final.tmp"), ("logging", "rollouts/.*.tmp"))
              if any(run.glob(pattern))]  # fmt: skip
    return ", ".join([*found, *(f"actors in {call}" for call in calls)]) or "between calls"


def finish(run, place):
    """Start the run a last time, and let it end."""
    watched = place.start("last", *SETTINGS, f"run.dir={run}")
    code = watched.driver.wait(LIMIT_S)
    return {"code": code, "seconds": round(time.monotonic() - watched.started, 1), **watched.end()}


def compare(run, reference):
    """Return how far the run that was killed is from the one that was not, and what is wrong with it."""
    import pyarrow.parquet as pq
    from safetensors.numpy import load_file

    problems = audit(run)
    weights, right = (load_file(path / "final" / "model.safetensors") for path in (run, reference))
    if weights.keys() != right.keys():
        problems.append(f"other weights: {sorted(weights.keys() ^ right.keys())}")
    largest = max(float(abs(weights[name] - right[name]).max()) for name in right)
    if not largest <= WEIGHTS_BOUND:
        problems.append(f"final weights differ by up to {largest:.3g}, more than {WEIGHTS_BOUND:g}")
    rows, sampled = (
        [row for path in sorted((each / "rollouts").glob("version-*.parquet")) for row in pq.read_table(path).to_pylist()]
        for each in (run, reference)
    )
    times = Counter((row["draw"], row["sample"]) for row in rows)
    if times != Counter({(draw, sample): 1 for draw in range(STEPS * PROMPTS) for sample in range(GROUP)}):
        wrong = [key for key, count in times.items() if count != 1]
        problems.append(f"{len(rows)} rows; more than once: {wrong[:5]}; expected {STEPS * PROMPTS * GROUP}, each once")
    tokens = {(row["draw"], row["sample"]): (row["seed"], row["tokens"], row["reward"], row["version"]) for row in sampled}
    other = [
        key
        for row in rows
        if tokens.get(key := (row["draw"], row["sample"])) != (row["seed"], row["tokens"], row["reward"], row["version"])
    ]
    if other:
        problems.append(f"{len(other)} completions are not those of the undisturbed run, as {other[:5]}")
    versions = [line["version"] for line in lines(run)]
    if versions != list(range(STEPS + 1)):
        problems.append(f"lines of metrics: {versions}")
    rewards = [[line.get("reward/mean") for line in lines(each)] for each in (run, reference)]
    return {
        "weights_max_abs_difference": largest,
        "weights_bitwise_equal": all((weights[name] == right[name]).all() for name in right),
        "completions": len(rows),
        "completions_that_differ": len(other),
        "rewards_equal": rewards[0] == rewards[1],
        "problems": problems,
    }


def text(report):
    """Return a report for a person."""
    rows = [f"{'kill':>4} {'at':>7} {'lines':>5} {'gone':>6}  during"]
    for each in report["kills"]:
        made = "" if each["made"] is None else each["made"]
        rows.append(f"{each['kill']:>4} {each['at_s']:>6.1f}s {made:>5} {each['gone_s']:>5.1f}s  {each['stage']}")
    return "\n".join([*rows, *(f"{name}: {value}" for name, value in report["compared"].items() if name != "problems")])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=Path, default=Path("runs/kills.json"))
    parser.add_argument("--lock", type=Path, help="a file to hold while a run is on, where several share this machine")
    parser.add_argument("--keep", action="store_true", help="leave the two runs where they are, and say where")
    options = parser.parse_args()
    with Workplace("kills", keep=options.keep) as place:
        report, problems = trial(place, options)
    write(report, options.report)
    print(text(report))
    print("\n".join(problems) or f"{options.kills} kills: passed")
    return 1 if problems else 0


def trial(place, options):
    """Make both runs; return the report, and what is wrong."""
    reference, run = place.folder / "undisturbed", place.folder / "run"
    with turn(options.lock):
        watched = place.start("undisturbed", *SETTINGS, f"run.dir={reference}")
        life = measure(watched, reference)
        left = watched.end()
    print(f"undisturbed: {life}, {problems_of(left) or 'nothing left'}", flush=True)
    kills = []
    for number, moment in enumerate(moments(options.seed, options.kills, life), start=1):
        with turn(options.lock):
            kills.append(kill(number, moment, run, place))
        print(kills[-1], flush=True)
    with turn(options.lock):
        last = finish(run, place)
    compared = compare(run, reference) if last["code"] == 0 else {"problems": [f"it did not end: {last}"]}
    report = {**circumstances(), "seed": options.seed, "settings": SETTINGS, "undisturbed": asdict(life), "kills": kills, "last": last}
    problems = [*problems_of(left), *(p for each in kills for p in each["problems"]), *problems_of(last), *compared["problems"]]
    return report | {"compared": compared}, problems


if __name__ == "__main__":
    sys.exit(main())
