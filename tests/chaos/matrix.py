"""Every accident, by seed, in a real run each: `make chaos`, or python matrix.py [--seeds 0 1] [--only WORDS] [--report FILE].

A case passes if the accident struck, the run ends at its step count (started again where the accident ended the driver, as a launcher does;
one of an engine, a rank or a reward worker must not), `toolrl audit --deep` finds nothing, no process of it is left 30 s later, the reward
on held-out prompts is at the end that of the undisturbed run to within noise, and, where only time was lost, the weights are to 1e-4.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from accidents import ACCIDENTS
from safetensors.numpy import load_file
from trial import turn

sys.path.insert(0, str(Path(__file__).parents[1] / "pipelines"))
from driver import Driver, wait_until

HERE = Path(__file__).parent
WEIGHTS = "model.safetensors"
STEPS = 6
BASE = (
    "conf/demo.yaml", f"run.steps={STEPS}", "loop.prompts_per_batch=8", "sampling.n=4", "eval.every=0", "eval.prompts=64",
    "checkpoint.every=2", "checkpoint.best=false", "engine.max_num_seqs=64", "monitor.tensorboard=false",
)  # fmt: skip
LIMIT_S = 240
"""Hard limit of one start of a run; past it the case has hung."""
STARTS = 4
"""Starts that a case may take."""
WEIGHTS_BOUND = 1e-4
NOISE = 3
"""Standard errors of a held-out reward that its end may be away from the undisturbed one's."""
REPLACED = {"engine": ("engine/replaced", "engine/serving"), "reward": ("reward/workers_replaced", "reward/workers")}
"""Where a process takes the place of another: the metrics that count those, and those that serve."""
DISK = "44m"
"""Of the disk that is filled: room for three checkpoints of the demo model."""


def run_case(name, seed, folder, reference=None):
    """Run one accident and return what came of it: a line of the report."""
    started, problems = time.monotonic(), []
    run, mark = folder / "run", folder / "struck"
    arguments = ("rl", *BASE, *(ACCIDENTS[name].settings if name else ()), f"run.dir={run}")
    codes = []
    while len(codes) < STARTS and codes[-1:] != [0]:
        if (folder / "ballast").exists():
            (folder / "ballast").unlink()
        code, left = _start(name, seed, mark, arguments, folder / f"start-{len(codes) + 1}.log")
        codes.append(code)
        problems += left
    if codes[-1] != 0:
        problems.append(f"never ended: exit codes {codes}")
    if name and ACCIDENTS[name].first_code not in (None, codes[0]):
        problems.append(f"exit codes {codes}, expected {ACCIDENTS[name].first_code} first")
    if name and not mark.with_name("struck-1").exists():
        problems.append("the accident did not happen")
    result = {"accident": name, "seed": seed, "codes": codes, "seconds": round(time.monotonic() - started, 1)}
    if codes[-1] == 0:
        problems += _audit(run) + (_traces(run, name) if name and (codes[0] or ACCIDENTS[name].first_code == 0) else [])
        summary = json.loads((run / "summary.json").read_text())
        result |= {"steps": summary["steps"], "heldout": summary["heldout_reward_after"], "attempts": _attempts(run)}
        if summary["steps"] != STEPS:
            problems.append(f"ended at step {summary['steps']}")
        if reference is not None:
            noise = NOISE * math.hypot(summary["heldout_stderr_after"], reference["stderr"])
            if abs(result["heldout"] - reference["heldout"]) > noise:
                problems.append(f"held-out reward {result['heldout']:.3f}, undisturbed {reference['heldout']:.3f}")
            if ACCIDENTS[name].exact:
                result["weights_differ"] = _difference(run / "final" / WEIGHTS, Path(reference["weights"]))
                if not result["weights_differ"] <= WEIGHTS_BOUND:
                    problems.append(f"final weights differ by up to {result['weights_differ']:.3g}")
        result["stderr"] = summary["heldout_stderr_after"]
    return result | {"problems": problems}


def _start(name, seed, mark, arguments, log):
    """Start the run once; return its exit code, and what it left behind."""
    script = [str(HERE / "inject.py"), name, str(seed), str(mark)] if name else ["-m", "toolrl"]
    driver = Driver(*arguments, log=log, script=script)
    try:
        code = driver.wait(LIMIT_S)
    except AssertionError:
        return "hung", [f"no end within {LIMIT_S} s: {log}"]
    clean = wait_until(lambda: not driver.relatives(), 30)
    return code, [] if clean else [f"left behind after 30 s: {sorted(driver.relatives().values())}"]


def _traces(run, name):
    """Return what a run that was struck must have left of it, and has not."""
    where, attempts = ACCIDENTS[name].where, _attempts(run)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    if where not in REPLACED:
        return [f"{attempts} attempts"] if attempts < 2 else []
    replaced, there = ([line.get(metric, 0) for line in lines[1:]] for metric in REPLACED[where])
    # On a busy machine the run may end before the other process is up: then there was one fewer.
    return [] if max(replaced) or min(there) < max(there) else [f"{REPLACED[where][0]} is 0 to the end, and none was missing"]


def _difference(file, other):
    ours, theirs = load_file(file), load_file(other)
    return max(float(abs(ours[name] - theirs[name]).max()) for name in theirs)


def _audit(run):
    done = subprocess.run([sys.executable, "-m", "toolrl", "audit", str(run), "--deep"], capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else [f"audit: {(done.stdout + done.stderr).strip()[-600:]}"]


def _attempts(run):
    return len(json.loads((run / "versions.json").read_text())["attempts"])


@contextmanager
def room(name, kept):
    """Give a case a folder; that of a disk which is filled is a small disk of its own."""
    folder = Path(tempfile.mkdtemp(prefix="toolrl-chaos-"))
    own_disk = bool(name) and ACCIDENTS[name].where == "disk"
    if own_disk:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
        if kept is not None:
            shutil.copytree(folder, kept, dirs_exist_ok=True)
    finally:
        if own_disk:
            subprocess.run(["umount", str(folder)], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _undisturbed(path):
    if path and path.exists():
        return json.loads(path.read_text())
    weights = path.with_suffix(".safetensors") if path else Path(tempfile.mkstemp(suffix=".safetensors")[1])
    with room(None, None) as folder:
        reference = run_case(None, 0, folder) | {"weights": str(weights)}
        shutil.copy(folder / "run" / "final" / WEIGHTS, weights)
    if path:
        path.write_text(json.dumps(reference))
    return reference


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", nargs="+", default=[], metavar="ACCIDENT", help="these accidents, by their whole names")
    parser.add_argument("--report", type=Path, default=Path("runs/chaos.jsonl"))
    parser.add_argument("--reference", type=Path, help="what the undisturbed run came to: read from here, or written if it is not there")
    parser.add_argument("--keep", type=Path, help="copy the folders of cases that fail to here")
    parser.add_argument("--lock", type=Path, help="a file to hold while a case is on, where several share this machine")
    options = parser.parse_args()
    names = [name for name in ACCIDENTS if name in options.only or not options.only]
    options.report.parent.mkdir(parents=True, exist_ok=True)
    with turn(options.lock):
        reference = _undisturbed(options.reference)
    print(json.dumps(reference), flush=True)
    failed = 0
    with options.report.open("a") as report:
        for seed in options.seeds:
            for name in names:
                if ACCIDENTS[name].where == "disk" and os.geteuid() != 0:
                    print(f"skipped, mounting a small disk needs root: {name}", flush=True)
                    continue
                keep = None
                with suppress(KeyboardInterrupt), room(name, None) as folder, turn(options.lock):
                    result = run_case(name, seed, folder, reference)
                    if result["problems"] and options.keep:
                        keep = options.keep / f"{name.replace(' ', '-')}-{seed}"
                        shutil.copytree(folder, keep, dirs_exist_ok=True)
                    failed += bool(result["problems"])
                    report.write(json.dumps(result) + "\n")
                    report.flush()
                    verdict = "; ".join(result["problems"]) or "passed"
                    print(f"{name}, seed {seed}: codes {result['codes']}, {result['seconds']} s: {verdict}", flush=True)
    print(f"{failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
