"""How long the learner waits for an engine that was killed: python benchmarks/engine_death.py [--steps 40].

    two engines, one version ahead ─> kill -9 of one, amid a batch ─> the other goes on, lost draws are sampled again, it comes back
    one engine, in step            ─> what a step's generation takes on the engine that is left, alone and while others load beside it

The claim: the learner is never idle for longer than one step's generation beyond what it is idle otherwise. On a machine whose cores all
work, the engine that comes back takes part of them while it loads, so the generation that counts is one beside engines that load.
"""

import argparse
import asyncio
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
ALONE = 12
"""Versions of the run in step before something loads beside it."""
LOAD = "--load"


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


def load_for_ever():
    """Start engines, one after the other, as a run starts the one that comes back."""
    from toolrl.config.load import load
    from toolrl.config.schema import RlConfig
    from toolrl.pipelines.inputs import resolve_model
    from toolrl.rollout.settings import EngineSettings, environment

    config = load(RlConfig, [*COMMON, *ONE])
    settings = EngineSettings.from_config(config, resolve_model(config.model.path), "beside")
    os.environ.update(environment(settings))

    async def one():
        from toolrl.rollout.engine import VllmEngine

        engine = VllmEngine(settings)
        await engine.start()
        await engine.shutdown()

    while True:
        asyncio.run(one())


def undisturbed(folder, steps):
    """Return what the generation of a step takes on one engine: the median alone, and that while others load beside it."""
    run = folder / "one"
    driver = start(run, *ONE, f"run.steps={ALONE + steps}")
    while driver.poll() is None and max((line["version"] for line in lines(run)), default=0) < ALONE:
        threading.Event().wait(0.01)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    beside = subprocess.Popen([sys.executable, __file__, LOAD], start_new_session=True, **quiet)
    try:
        if driver.wait() != 0:
            raise SystemExit(run.with_suffix(".log").read_text())
        if beside.poll() is not None:
            raise SystemExit(f"nothing loaded beside it: exit code {beside.returncode}")
    finally:
        os.killpg(beside.pid, signal.SIGKILL)
        beside.wait()
    found = waits(run)
    alone = statistics.median(value for version, value in found.items() if SETTLED < version <= ALONE)
    return alone, statistics.median(value for version, value in found.items() if version > ALONE + 1)


def main():
    if sys.argv[1:] == [LOAD]:
        load_for_ever()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.monotonic()
        found = disturbed(folder, options.steps)
        alone, generation = undisturbed(folder, options.steps)
        seconds = time.monotonic() - started
    idle = {line["version"]: line["loop/wait_generation_s"] for line in found if line["version"] > SETTLED}
    normal = statistics.median(value for version, value in idle.items() if version <= KILLED_AT)
    away = [line["version"] for line in found if line["version"] > KILLED_AT and line["engine/serving"] < 2]
    struck = {version: value for version, value in idle.items() if KILLED_AT < version <= max(away, default=KILLED_AT) + 2}
    worst = max(struck.values())
    redrawn = sum(line.get("engine/redrawn", 0) for line in found)
    print(f"{seconds:.0f} s; {redrawn:.0f} draws sampled again; one engine served the versions {away}")
    print(f"idle before: median {normal:.2f} s, longest {max(v for k, v in idle.items() if k <= KILLED_AT):.2f} s")
    print(f"a step's generation on the engine that is left: {alone:.2f} s; while another loads beside it: {generation:.2f} s")
    print("idle after, by version: " + ", ".join(f"{version}: {value:.2f}" for version, value in struck.items()))
    print(f"longest idle beyond normal / a step's generation: {(worst - normal) / generation:.2f} (the claim: at most 1)")


if __name__ == "__main__":
    main()
