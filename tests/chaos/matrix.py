"""Every accident, by seed, in a real run each: `make chaos`, or python matrix.py [--seeds 0 1] [--only WORDS] [--report FILE].

A case passes if the run ends at its step count (started again where the accident ended the driver, as a launcher does; one of an engine, a
rank or a reward worker must not), `toolrl audit` finds nothing, no process of it is left 30 s later, and the held-out reward at the end is
that of the undisturbed run to within noise.
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

sys.path.insert(0, str(Path(__file__).parents[1] / "pipelines"))
from driver import Driver, wait_until

HERE = Path(__file__).parent
STEPS = 6
BASE = (
    "conf/demo.yaml", f"run.steps={STEPS}", "loop.prompts_per_batch=8", "sampling.n=4", "eval.every=0", "eval.prompts=64",
    "checkpoint.every=2", "checkpoint.best=false", "engine.max_num_seqs=64", "monitor.tensorboard=false",
)  # fmt: skip
LIMIT_S = 240
"""Hard limit of one start of a run; past it the case has hung."""
STARTS = 4
"""Starts that a case may take."""
SURVIVED = ("engine", "rank", "reward")
"""Where an accident must not end the driver."""
NOISE = 3
"""Standard errors of a held-out reward that its end may be away from the undisturbed one's."""
DISK = "16m"
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
    if name and ACCIDENTS[name].where in SURVIVED and len(codes) > 1:
        problems.append(f"it ended the driver: exit codes {codes}")
    if name and not mark.with_name("struck-1").exists():
        problems.append("the accident did not happen")
    result = {"accident": name, "seed": seed, "codes": codes, "seconds": round(time.monotonic() - started, 1)}
    if codes[-1] == 0:
        problems += _audit(run)
        summary = json.loads((run / "summary.json").read_text())
        result |= {"steps": summary["steps"], "heldout": summary["heldout_reward_after"], "attempts": _attempts(run)}
        if summary["steps"] != STEPS:
            problems.append(f"ended at step {summary['steps']}")
        if reference is not None:
            noise = NOISE * math.hypot(summary["heldout_stderr_after"], reference["stderr"])
            if abs(result["heldout"] - reference["heldout"]) > noise:
                problems.append(f"held-out reward {result['heldout']:.3f}, undisturbed {reference['heldout']:.3f}")
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


def _audit(run):
    done = subprocess.run([sys.executable, "-m", "toolrl", "audit", str(run)], capture_output=True, text=True, check=False)
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
    with room(None, None) as folder:
        reference = run_case(None, 0, folder)
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
    options = parser.parse_args()
    names = [name for name in ACCIDENTS if name in options.only or not options.only]
    options.report.parent.mkdir(parents=True, exist_ok=True)
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
                with suppress(KeyboardInterrupt), room(name, None) as folder:
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
