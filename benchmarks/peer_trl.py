"""Trained completions per second: toolrl's loop against TRL's GRPOTrainer, on the same work, in turns on the same cores.

    python benchmarks/peer_trl.py [--steps 5] [--rounds 4] [--threads 2] [--json] [key=value …]

    trial: each mode of TRL for a few steps ─> the fastest that runs
    race:  TRL steps │ ours │ TRL steps │ ours │ …      both alive throughout, one of them idle; the first two steps of each dropped

TRL (a process of its own, `peer_trl_worker.py`) takes its turns while our loop holds still for an evaluation, which its step time leaves
out. A step is everything: prompts, generation, reward, loss, optimizer, and with us the push, its parity probe and the rollout file.
"""

import argparse
import asyncio
import importlib.util
import json
import math
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from peer_trl_race import START_TIMEOUT_S, STEP_TIMEOUT_S, Peer, Step, race, rate

from toolrl.actors.placement import bundles_of
from toolrl.actors.session import Session
from toolrl.config.load import load
from toolrl.config.schema import RlConfig
from toolrl.errors import RunError, ToolRLError
from toolrl.pipelines.inputs import load_inputs

MODES = ("transformers", "continuous_batching", "vllm")
HOW_TO_GET_TRL = "TRL is not installed: pip install --no-deps --target DIR trl==1.16.0, then run again with PYTHONPATH=DIR"
WARM_UP_STEPS, TRIAL_STEPS = 2, 5


async def fastest_mode(threads: int, arguments: Sequence[str]) -> str:
    """Try every mode of TRL and return the fastest that runs."""
    rates = {}
    for mode in MODES:
        try:
            async with Peer(mode, threads, arguments) as peer:
                steps = await peer.steps(TRIAL_STEPS, timeout_s=START_TIMEOUT_S + TRIAL_STEPS * STEP_TIMEOUT_S)
            rates[mode] = rate(steps[WARM_UP_STEPS:])
            print(f"  TRL, {mode}: {rates[mode]:.1f} completions/s", flush=True)
        except RunError as error:
            print(f"  TRL, {mode}: does not run: {error}", flush=True)
    if not rates:
        raise RunError("no mode of TRL runs here")
    return max(rates, key=rates.__getitem__)


def quiet(steps: Sequence[Step]) -> list[Step]:
    """Return the fastest quarter of the steps: those that other work on the machine disturbed least."""
    return sorted(steps, key=lambda step: step.s)[: math.ceil(len(steps) / 4)]


def report(name: str, steps: Sequence[Step]) -> None:
    """Print a side's rate and where its seconds went."""
    mean_s = statistics.fmean(step.s for step in steps)
    tokens, completions = sum(step.tokens for step in steps), sum(step.completions for step in steps)
    print(
        f"\n{name}: {rate(steps):.1f} completions/s over {len(steps)} steps ({rate(quiet(steps)):.1f} over the fastest quarter); "
        f"a step {mean_s:.3f} s; {tokens / completions:.1f} tokens a completion, {sum(s.right for s in steps) / completions:.2f} right"
    )
    print(f"  {'':24}{'mean':>10}{'':7}{'fastest quarter':>17}")
    for part in steps[0].parts:
        part_s, quiet_s = (statistics.fmean(step.parts[part] for step in side) for side in (steps, quiet(steps)))
        print(f"  {part:24}{part_s:8.3f} s{part_s / mean_s:7.0%}{quiet_s:15.3f} s")


def summary(trl: Sequence[Step], ours: Sequence[Step], steps: int) -> dict[str, Any]:
    """Print both sides and return the figures."""
    theirs, own = trl[WARM_UP_STEPS:], ours[WARM_UP_STEPS:]
    report("TRL", theirs)
    report("toolrl", own)
    rounds = [slice(max(i, WARM_UP_STEPS), i + steps) for i in range(0, len(trl), steps)]
    figures = {
        "ratio": rate(own) / rate(theirs),
        "ratio_quiet": rate(quiet(own)) / rate(quiet(theirs)),
        "completions_per_s": rate(own),
        "trl_completions_per_s": rate(theirs),
    }
    by_round = [round(rate(ours[turn]) / rate(trl[turn]), 2) for turn in rounds]
    print(f"\nratio {figures['ratio']:.2f}; by round {by_round}; of the fastest quarters {figures['ratio_quiet']:.2f}")
    print("Other work on the machine slows TRL more than toolrl: where the rounds differ, believe the fastest quarters.", flush=True)
    return {name: round(value, 3) for name, value in figures.items()} | {"ratio_by_round": by_round}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=5, help="steps of a turn, more than 2 (default 5)")
    parser.add_argument("--rounds", type=int, default=4, help="turns of each side (default 4)")
    parser.add_argument("--threads", type=int, default=2, help="compute threads of each side at most (default 2)")
    parser.add_argument("--model", default="demo://start", help="start checkpoint: a Hugging Face folder (default demo://start)")
    parser.add_argument("--mode", choices=("best", *MODES), default="best", help="how TRL generates (default: the fastest that runs)")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON that holds `ratio`")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="settings of both, over those of conf/demo.yaml")
    options = parser.parse_args()
    if options.steps <= WARM_UP_STEPS or options.rounds < 1 or options.threads < 1:
        parser.error(f"--steps must be more than {WARM_UP_STEPS}, --rounds and --threads at least 1")
    return options


def settings(options: argparse.Namespace) -> list[str]:
    """Return the run's settings, as `toolrl rl` would take them: those of the demo, at the size of the comparison."""
    demo = str(Path(__file__).parents[1] / "conf" / "demo.yaml")
    return [
        demo,
        f"model.path={options.model}",
        "loop.prompts_per_batch=8",
        f"run.steps={options.steps * options.rounds}",
        f"eval.every={options.steps}",
        "checkpoint.every=0",
        "checkpoint.best=false",
        "engine.threads=1",  # of the threads allowed: a model this small decodes faster on one
        f"learner.num_ranks={options.threads}",
        "learner.threads=1",
        *options.settings,
    ]


def main() -> int:
    options = arguments()
    if importlib.util.find_spec("trl") is None:
        print(HOW_TO_GET_TRL, file=sys.stderr)
        return 2
    try:
        chosen = settings(options)
        config = load(RlConfig, chosen)
        inputs = load_inputs(config)
        print(
            f"{config.loop.prompts_per_batch} x {config.sampling.n} completions a step, {config.sampling.max_tokens} tokens at most; "
            f"{config.model.dtype}, synchronous, KL {config.algo.kl_coef:g}; {options.threads} threads a side, {os.cpu_count()} cores, "
            f"load {os.getloadavg()[0]:.1f}"
        )
        mode = asyncio.run(fastest_mode(options.threads, chosen)) if options.mode == "best" else options.mode
        peer = Peer(mode, options.threads, chosen)
        with (
            Session() as session,
            session.stage(config.cluster, bundles_of(config)) as stage,
            TemporaryDirectory(prefix="peer-ours-") as folder,
        ):
            trl, ours = asyncio.run(race(config, inputs, stage, peer, options.steps, Path(folder)))
    except ToolRLError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    found = summary(trl, ours, options.steps)
    if options.json:
        print(json.dumps({**found, "trl_mode": mode}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
