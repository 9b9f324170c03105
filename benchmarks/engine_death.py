"""How long the learner waits for an engine that was killed: python benchmarks/engine_death.py [--steps 40].

    two engines, one version ahead ─> kill -9 of one, amid a batch ─> the other goes on, lost draws are sampled again, it comes back
    one engine, in step            ─> what a step's generation takes on the engine that is left

The claim: the learner is never idle for longer than one step's generation beyond what it is idle otherwise. On a machine whose cores all
work, the engine that comes back takes part of them while it loads, so both figures are of the same cores.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

COMMON = (
    "conf/demo.yaml", "loop.prompts_per_batch=16", "sampling.n=8", "eval.every=0", "eval.prompts=8", "checkpoint.every=0",
    "checkpoint.best=false",
    "engine.threads=1", "engine.max_num_seqs=64", "cluster.num_cpus=4", "monitor.tensorboard=false",
)  # fmt: skip
TWO = ("engine.num=2", "loop.max_staleness=1")
ONE = ("engine.num=1", "loop.max_staleness=0")
KILLED_AT = 10
SETTLED = 3
"""Versions at the start whose times are not counted."""


def lines(run):
    path = run / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []


def start(run, *settings):
    """Start a run whose output goes beside its folder."""
    command = [sys.executable, "-m", "toolrl", "rl", *COMMON, *settings, f"run.dir={run}"]
    with run.with_suffix(".log").open("w") as out:
        return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)


def actors_of(pid):
    """Return the engine actors among the descendants of a process."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            found += [child] if b"ray::EngineActor" in Path(f"/proc/{child}/cmdline").read_bytes() else actors_of(child)
    return sorted(found)


def waits(run):
    """Return by version how long the learner was idle, s."""
    return {line["version"]: line["loop/wait_generation_s"] for line in lines(run) if "loop/wait_generation_s" in line}


def disturbed(folder, steps):
    """Kill one of two engines in the middle of a batch; return the lines of the run."""
    run = folder / "two"
    driver = start(run, *TWO, f"run.steps={steps}")
    while driver.poll() is None and max((line["version"] for line in lines(run)), default=0) < KILLED_AT:
        threading.Event().wait(0.01)
    os.kill(actors_of(driver.pid)[0], signal.SIGKILL)
    if driver.wait() != 0:
        raise SystemExit(run.with_suffix(".log").read_text())
    return lines(run)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.monotonic()
        found = disturbed(folder, options.steps)
        if start(folder / "one", *ONE, "run.steps=12").wait() != 0:
            raise SystemExit((folder / "one.log").read_text())
        generation = statistics.median(value for version, value in waits(folder / "one").items() if version > SETTLED)
        seconds = time.monotonic() - started
    idle = {line["version"]: line["loop/wait_generation_s"] for line in found if line["version"] > SETTLED}
    normal = statistics.median(value for version, value in idle.items() if version <= KILLED_AT)
    away = [line["version"] for line in found if line["version"] > KILLED_AT and line["engine/serving"] < 2]
    struck = {version: value for version, value in idle.items() if KILLED_AT < version <= max(away, default=KILLED_AT) + 2}
    worst = max(struck.values())
    redrawn = sum(line.get("engine/redrawn", 0) for line in found)
    print(f"{seconds:.0f} s; {redrawn:.0f} draws sampled again; one engine served the versions {away}")
    print(f"idle before: median {normal:.2f} s, longest {max(v for k, v in idle.items() if k <= KILLED_AT):.2f} s")
    print(f"a step's generation on the engine that is left: {generation:.2f} s")
    print("idle after, by version: " + ", ".join(f"{version}: {value:.2f}" for version, value in struck.items()))
    print(f"longest idle beyond normal / a step's generation: {(worst - normal) / generation:.2f} (the claim: at most 1)")


if __name__ == "__main__":
    main()
