"""What `toolrl sft` tells a person: what is about to run, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolrl.calls.parse import THINK
from toolrl.checkpoint.store import BEST, Checkpoint, CheckpointStore
from toolrl.config.remarks import remarks
from toolrl.config.sft import SftConfig
from toolrl.monitor.plot import plot_supervised
from toolrl.monitor.rundir import RunFolder
from toolrl.monitor.summary import LAST_STEPS, summarise_supervised
from toolrl.pipelines.closing import CURVES
from toolrl.pipelines.store import FINAL
from toolrl.pipelines.supervised.inputs import Encoded, SupervisedInputs


def facts(inputs: SupervisedInputs) -> list[str]:
    """Return what is known before the start, a line each."""
    config = inputs.config
    part = f", {config.data.subset} percent of the dialogues" if config.data.subset else ""
    lines = [f"model: {config.model.path}, template {inputs.template.name}"]
    lines += _told("demonstrations", inputs.train, f"{part}: {_passes(inputs)}")
    if inputs.heldout is not None:
        lines += _told("held out", inputs.heldout, "")
    if inputs.judged is not None:
        lines.append(f"greedy answers: to {len(inputs.judged.draws)} prompts of {config.eval.heldout}")
    if not config.data.reasoning and THINK in inputs.template.text:
        lines.append(f"note: data.reasoning=false, while the template {inputs.template.name} asks for reasoning; tool_n1_no_think does not")
    if config.data.reasoning and not inputs.template.reasons:
        lines.append(f"note: data.reasoning=true, while the template {inputs.template.name} asks for calls alone")
    return [*lines, *([inputs.contamination] if inputs.contamination else []), *remarks(config)]


def opening(inputs: SupervisedInputs, newest: Checkpoint | None) -> str:
    """Return what is printed before the cluster starts."""
    config = inputs.config
    lines = [f"run: {config.run.dir}, {config.run.steps} steps of {config.loop.rows_per_batch} demonstrations", *facts(inputs)]
    if newest is not None:
        lines += [f"resuming from {newest.path.name}", *(f"  passed over: {problem}" for problem in newest.skipped)]
    parts = [_number(config.learner.num_ranks, "ZeRO-3 learner rank")]
    if inputs.judged is not None:
        parts = [_number(config.engine.num, "vLLM engine"), _number(config.reward.workers, "reward worker"), *parts]
        parts += ["engines and learner in turns on the same GPUs"] if config.cluster.colocated else []
    return "\n".join([*lines, f"starting {', '.join(parts)} …"])


def finish(folder: RunFolder, store: CheckpointStore) -> None:
    """Write summary.json and the plot of a run that has ended."""
    newest = store.newest()
    found = summarise_supervised(
        folder.metrics, checkpoint=str(newest.path) if newest else None, best_step=newest.state.best_version if newest else None
    )
    folder.write_summary(found | {"model": str(folder.path / FINAL)})
    plot_supervised(folder.metrics, folder.path / CURVES)


def text(config: SftConfig, summary: Mapping[str, Any]) -> str:
    """Return the summary for a person: before and after, where everything is, what to try next."""
    run = Path(config.run.dir)
    lines = ["", f"{summary['steps']} steps, {summary['tokens']:,} completion tokens, {summary['tokens_per_s'] or 0:,.0f} tokens/s"]
    lines += ["", "                       before   after", *_rows(summary), "", f"run folder   {run}", f"model        {summary['model']}"]
    if summary["best_step"] is not None:
        folder = f", in {run / 'checkpoints' / BEST}" if (run / "checkpoints" / BEST).exists() else ""
        lines.append(f"best         step {summary['best_step']}{folder}")
    lines += [f"checkpoint   {summary['checkpoint']}", f"curves       {run / CURVES}", "", "next:"]
    lines.append(f"  toolrl rl … model.path={run / FINAL}   go on by reinforcement learning")
    lines.append(f"  toolrl evaluate heldout --model {run / FINAL} …   ask it")
    if config.monitor.tensorboard:
        lines.append(f"  tensorboard --logdir {run / 'tensorboard'}   look at every metric")
    return "\n".join(lines)


def _number(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _told(what: str, found: Encoded, more: str) -> list[str]:
    lines = [f"{what}: {len(found.rows)} with {found.tokens:,} completion tokens{more}"]
    return lines + ([f"  {found.left_out} longer than data.max_tokens left out"] if found.left_out else [])


def _passes(inputs: SupervisedInputs) -> str:
    """Say how often each demonstration is trained."""
    config = inputs.config
    passes = (config.run.steps - config.data.copy_warmup_steps) * config.loop.rows_per_batch / len(inputs.train.rows)
    warmup = f" behind {config.data.copy_warmup_steps} steps of copying" if config.data.copy_warmup_steps else ""
    return f"{max(0.0, passes):.3g} passes{warmup}"


def _rows(summary: Mapping[str, Any]) -> list[str]:
    table = (
        ("loss, held out", "heldout_loss", "heldout_loss_stderr"),
        ("reward, greedy", "heldout_greedy", "heldout_greedy_stderr"),
        ("form right", "heldout_greedy_format_right", None),
        ("content right", "heldout_greedy_content_right", None),
    )
    trained = f"first step, and mean of the last {min(LAST_STEPS, summary['steps'])}"
    rows = [f"  {'loss, training':<18} {summary['loss_first']:>8.3f} {summary['loss_last']:>7.3f}  ({trained})"]
    for label, name, error in table:
        before, after = summary[f"{name}_before"], summary[f"{name}_after"]
        if after is not None:
            noise = f"  (standard error {summary[f'{error}_after']:.3f})" if error else ""
            rows.append(f"  {label:<18} {before:>8.3f} {after:>7.3f}{noise}")
    return rows
