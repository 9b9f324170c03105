"""Hundreds of steps, and what a run holds meanwhile and leaves behind: `make soak`, or python soak.py [--steps 1000] [--report FILE].

    a run to its end   ─> memory of each of its processes, every second ─> slope over its steps, once it has settled
    another, by Ctrl-C ─> in the middle of its work                      ┐
                                                 both ─> processes, ports, files that are there after it and were not before

It holds if no process grows by more than the bound, the loop is no slower at the end than at the beginning, `toolrl audit` finds nothing,
and neither run leaves anything. What is measured is memory that a process has for itself: what Ray's store shares is one reservation.
"""

import argparse
import statistics
import sys
import threading
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
from family import command_line, ports_of
from trial import Workplace, audit, circumstances, lines, problems_of, turn, write

SETTINGS = (
    "rl", "conf/demo.yaml", "loop.prompts_per_batch=4", "sampling.n=4", "eval.prompts=16", "eval.every=50", "checkpoint.every=25",
    "engine.max_num_seqs=64", "engine.kv_cache_gib=0.05", "loop.max_staleness=1",
)  # fmt: skip
"""The cache is small because vLLM takes its blocks in turn: a larger one is touched for the first time for hundreds of steps."""
STEP_LIMIT_S = 20.0
SETTLED = 1 / 3
"""Share of the steps after which caches are full and pools have their size."""
BOUND = 30.0
"""MiB that a process may grow in 1,000 steps: a run of 10,000 steps ends with 300 MiB more."""
SLOWER = 1.25
"""How much longer a step of the last third may take than one of the second, by the median."""
SAMPLE_S = 1.0
CURVE = 100
"""About how many samples of each process are kept in the report: [step, MiB]."""
INTERRUPT_LIMIT_S = 300.0
INTERRUPTED_AT = 5
"""Version after which the second run gets Ctrl-C."""


def private_mib(pid):
    """Return the memory in MiB that a process has for itself (RssAnon, proc(5)); 0 for one that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("RssAnon")), 0.0)


def role_of(pid, driver):
    """Return a name for what a process is: actors bear that of their class, whatever they are doing."""
    if pid == driver:
        return "driver"
    line = command_line(pid)
    if line.startswith(("ray::", "VLLM::")):
        return line.split()[0].split(".")[0]
    name = Path(line.split()[0]).name if line else ""
    module = next((word for word in line.split() if word.endswith(".py")), "")
    return Path(module).stem if name.startswith("python") and module else name


def follow(watched, run, end):
    """Sample memory by process until the run ends; return process -> (role, [(step, MiB)])."""
    roles, samples = {}, defaultdict(list)
    while watched.driver.running():
        if time.monotonic() > end:
            watched.driver.wait(0)
        version = max((line["version"] for line in lines(run)), default=None)
        family = watched.family.alive()
        watched.ports |= ports_of(family)
        for pid in family if version is not None else ():
            # Anew: a process gets its title only once it is up. One that just ended has none any more.
            roles[pid] = role_of(pid, watched.driver.pid) or roles.get(pid, "")
            samples[pid].append((version, private_mib(pid)))
        threading.Event().wait(SAMPLE_S)
    return {pid: (roles[pid], series) for pid, series in samples.items()}


def growth(found, steps):
    """Return a line for each process that lived through the settled part of the run."""
    rows = []
    for role, series in found.values():
        points = np.array([point for point in series if point[0] >= steps * SETTLED and point[1]])
        if len(points) < 10 or np.ptp(points[:, 0]) < steps / 2:
            continue
        slope = 1000 * np.polyfit(points[:, 0], points[:, 1], 1)[0]
        curve = [[int(step), round(mib, 1)] for step, mib in series[:: max(len(series) // CURVE, 1)]]
        rows.append({"role": role, "mib": round(float(points[-1, 1]), 1), "mib_per_1000_steps": round(float(slope), 2), "curve": curve})
    return sorted(rows, key=lambda row: -row["mib"])


def step_seconds(run):
    """Return the median seconds from line to line in the second and in the last third of a run."""
    stamps = [line["time"] for line in lines(run)]
    gaps = [later - earlier for earlier, later in pairwise(stamps)]
    third = len(gaps) // 3
    return statistics.median(gaps[third : 2 * third]), statistics.median(gaps[2 * third :])


def whole(place, steps):
    """Make the run that ends by itself; return its report, and what is wrong."""
    run = place.folder / "whole"
    watched = place.start("whole", *SETTINGS, f"run.steps={steps}", f"run.dir={run}")
    found = follow(watched, run, watched.started + steps * STEP_LIMIT_S)
    code = watched.driver.wait(0)
    seconds = time.monotonic() - watched.started
    left = watched.end()
    problems = problems_of(left)
    if code != 0:
        return {"code": code, **left}, [*problems, f"exit code {code}:\n{watched.text[-2000:]}"]
    rows, (before, after) = growth(found, steps), step_seconds(run)
    problems += [
        f"{row['role']} grows by {row['mib_per_1000_steps']} MiB in 1,000 steps" for row in rows if row["mib_per_1000_steps"] > BOUND
    ]
    missing = {"driver", "ray::EngineActor", "ray::LearnerActor", "ray::RewardActor", "VLLM::EngineCore"} - {row["role"] for row in rows}
    if missing:
        problems.append(f"not measured: {sorted(missing)}")
    if after > SLOWER * before:
        problems.append(f"a step took {before:.2f} s, and {after:.2f} s in the last third")
    problems += audit(run)
    return {
        "steps": steps,
        "seconds": round(seconds, 1),
        "step_s": [round(before, 3), round(after, 3)],
        "processes": rows,
        "left": left,
    }, problems


def interrupted(place):
    """Make the run that Ctrl-C ends; return its report, and what is wrong."""
    run = place.folder / "interrupted"
    watched = place.start("interrupted", *SETTINGS, "run.steps=100", f"run.dir={run}", own_group=True)
    end = time.monotonic() + INTERRUPT_LIMIT_S
    while watched.driver.running() and max((line["version"] for line in lines(run)), default=-1) < INTERRUPTED_AT:
        assert time.monotonic() < end, watched.text
        threading.Event().wait(0.1)
    watched.ports = ports_of(watched.family.alive())
    watched.driver.interrupt()
    code = watched.driver.wait(60)
    left = watched.end()
    problems = problems_of(left)
    if code != 130:
        problems.append(f"exit code {code} after Ctrl-C:\n{watched.text[-2000:]}")
    return {"code": code, "says": watched.text.strip().splitlines()[-1], "left": left}, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--report", type=Path, default=Path("runs/soak.json"))
    parser.add_argument("--lock", type=Path, help="a file to hold while a run is on, where several share this machine")
    options = parser.parse_args()
    with Workplace("soak") as place, turn(options.lock):
        report, problems = whole(place, options.steps)
        by_keyboard, more = interrupted(place)
    problems += more
    write({**circumstances(), "settings": SETTINGS, "whole": report, "interrupted": by_keyboard, "problems": problems}, options.report)
    print(f"{'process':24}{'MiB':>10}{'MiB/1,000 steps':>18}")
    for row in report.get("processes", ()):
        print(f"{row['role']:24}{row['mib']:>10}{row['mib_per_1000_steps']:>18}")
    print({name: value for name, value in report.items() if name != "processes"}, by_keyboard, sep="\n")
    print("\n".join(problems) or "passed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
