"""What `toolrl rl` tells a person: what is about to run, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from toolrl.checkpoint.store import Checkpoint, CheckpointStore
from toolrl.config.remarks import remarks
from toolrl.config.schema import RlConfig
from toolrl.errors import RunError
from toolrl.monitor import rollouts
from toolrl.monitor.plot import plot_curves
from toolrl.monitor.rundir import RunFolder
from toolrl.monitor.summary import summarise
from toolrl.pipelines.inputs import Inputs
from toolrl.pipelines.store import FINAL
from toolrl.types import Reason

CURVES = "curves.png"
MOST_REASONS = 6
"""Reasons of failure shown; the rest are in summary.json."""


def facts(inputs: Inputs) -> list[str]:
    """Return what is known before the start, a line each."""
    lines = [f"model: {inputs.model_path}", f"prompts: {len(inputs.train)} to train on, {len(inputs.heldout)} held out for evaluation"]
    if inputs.train.left_out:
        lines.append(f"  {inputs.train.left_out} longer than data.max_prompt_tokens left out")
    if inputs.audit is not None:
        checks = inputs.audit.checks
        right = sum(check.tried - check.failed for check in checks)
        lines.append(f"verifier: audited on {inputs.audit.rows} rows, {right} completions scored as they must")
        lines += [f"  {check.name}: rewarded on {check.failed}; {check.accepted}" for check in checks if check.failed and check.accepted]
    if inputs.contamination:
        lines.append(inputs.contamination)
    return lines


def opening(config: RlConfig, inputs: Inputs, newest: Checkpoint | None) -> str:
    """Return what is printed before the cluster starts."""
    engines = f"{config.engine.num} vLLM engine{'s' if config.engine.num > 1 else ''}"
    parts = f"{engines}, {config.reward.workers} reward workers, {config.learner.num_ranks} ZeRO-3 learner ranks"
    if config.cluster.colocated:
        parts += ", engines and learner in turns on the same GPUs"
    lines = [f"run: {config.run.dir}, {config.run.steps} batches of {config.loop.prompts_per_batch} × {config.sampling.n} completions"]
    lines += [*facts(inputs), *remarks(config)]
    if newest is not None:
        lines += [f"resuming from {newest.path.name}", *(f"  passed over: {problem}" for problem in newest.skipped)]
    return "\n".join([*lines, f"starting {parts} …"])


def started(seconds: float, discarded: Path | None) -> str:
    """Return what is printed once the actors are up."""
    moved = f"; what lay beyond the checkpoint is in {discarded}" if discarded else ""
    return f"started in {seconds:.0f} s{moved}"


def rewinding(failure: RunError, newest: Checkpoint | None, count: int, most: int) -> str:
    """Return what is printed when a run goes back by itself."""
    where = newest.path.name if newest else "the start model"
    passed = "".join(f"\n  passed over: {problem}" for problem in newest.skipped) if newest else ""
    return f"failed: {failure}\nthe learner is made anew, and goes on from {where} (rewind {count} of {most}) …{passed}"


def finish(folder: RunFolder, store: CheckpointStore) -> None:
    """Write summary.json and the plot of a run that has ended."""
    newest = store.newest()
    folder.write_summary(summarise(folder.metrics, folder.rollouts, str(newest.path) if newest else None))
    plot_curves(folder.metrics, folder.path / CURVES)


def text(config: RlConfig, summary: Mapping[str, Any]) -> str:
    """Return the summary for a person: before and after, what went wrong, where everything is, what to try next."""
    run = Path(config.run.dir)
    lines = ["", f"{summary['steps']} batches, {summary['completions']} completions, {summary['completions_per_s']:.0f} completions/s"]
    if summary["heldout_reward_before"] is not None:
        lines += ["", "held out             before   after", *_rows(summary)]
    lines += ["", *_failures(run, summary["steps"]), "", f"run folder   {run}", f"model        {run / FINAL}"]
    lines += [f"checkpoint   {summary['checkpoint']}", f"curves       {run / CURVES}", "", "next:"]
    lines.append(f"  toolrl explain {run}   see what was asked, answered and rewarded, sample by sample")
    lines.append(f"  toolrl rl … run.dir={run} run.steps={2 * config.run.steps}   train it further")
    lines.append(f"  toolrl rl … run.dir={run}-async loop.max_staleness=1   sample while the learner works")
    lines.append(f"  tensorboard --logdir {run / 'tensorboard'}   look at every metric")
    return "\n".join(lines)


def _rows(summary: Mapping[str, Any]) -> list[str]:
    table = (
        ("reward, sampled", "heldout_reward", "heldout_stderr"),
        ("reward, greedy", "heldout_greedy", "heldout_greedy_stderr"),
        ("form right", "format_right", None),
        ("content right", "content_right", None),
    )
    rows = []
    for label, name, error in table:
        before, after = summary[f"{name}_before"], summary[f"{name}_after"]
        noise = f"  (standard error {summary[f'{error}_after']:.3f})" if error else ""
        rows.append(f"  {label:<18} {before:>6.3f}  {after:>6.3f}{noise}")
    return [*rows, "  form: the shape that was asked for; content: the calls are right when read leniently, whatever the form"]


def _failures(run: Path, version: int) -> list[str]:
    """Say what was wrong with the completions of the last batch."""
    table = rollouts.read(run / "rollouts", ["version", "reason", "path", "expected", "got"])
    table = table.filter(pc.equal(table.column("version"), version))
    reasons = table.column("reason").to_pylist()
    wrong = [row for row in table.to_pylist() if row["reason"] != Reason.CORRECT]
    counts = {reason: reasons.count(reason) for reason in sorted(set(reasons), key=reasons.count, reverse=True) if reason != Reason.CORRECT}
    lines = [f"last batch: {len(wrong)} of {len(reasons)} completions wrong"]
    for reason, count in list(counts.items())[:MOST_REASONS]:
        example = next(row for row in wrong if row["reason"] == reason)
        where = f", as at {example['path']}" if example["path"] else ""
        seen = f": expected {_short(example['expected'])}, got {_short(example['got'])}" if example["expected"] else ""
        lines.append(f"  {count:>4}  {reason}{where}{seen}")
    return lines


def _short(text: str) -> str:
    shown = " ".join(text.split())
    return shown if len(shown) <= 40 else shown[:39] + "…"
