"""The curves of a run as one picture, from metrics.jsonl.

    reward (train, held out, greedy) | form and content
    seconds by stage                 | parity of engine and learner, staleness

Read from the file alone, so that a run can be plotted while it goes on, or on another machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # before pyplot: no display is needed
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from toolrl.monitor.lines import Line, read_lines

STAGES = (("generation", "wait_generation"), ("learner", "learner"), ("push", "push"), ("evaluation", "eval"), ("checkpoint", "checkpoint"))
PARITY_RANGE = (1e-7, 1e-3)
"""Shown at least: float32's own noise to what would stop a run."""
SMOOTHED_OVER = 5
"""Versions behind the thick line of the training reward."""


def plot_curves(metrics: Path, target: Path) -> None:
    """Write the curves of `metrics` (metrics.jsonl) as the PNG `target`; a run without a trained version gives empty axes."""
    lines = read_lines(metrics)
    figure, axes = plt.subplots(2, 2, figsize=(11, 7), layout="constrained")
    _rewards(axes[0, 0], lines)
    _form_and_content(axes[0, 1], lines)
    _stages(axes[1, 0], lines)
    _parity(axes[1, 1], lines)
    for axis in axes.flat:
        axis.set_xlabel("version (batches trained)")
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize="small")
    figure.suptitle(metrics.parent.name)
    figure.savefig(target, dpi=120)
    plt.close(figure)


def _series(lines: Sequence[Line], name: str) -> tuple[list[float], list[float]]:
    found = [(line["version"], line[name]) for line in lines if line.get(name) is not None]
    return [version for version, _ in found], [value for _, value in found]


def _rewards(axis: Axes, lines: Sequence[Line]) -> None:
    versions, rewards = _series(lines, "reward/mean")
    axis.plot(versions, rewards, color="tab:blue", alpha=0.3)
    smooth = [sum(part) / len(part) for part in (rewards[max(0, i - SMOOTHED_OVER + 1) : i + 1] for i in range(len(rewards)))]
    axis.plot(versions, smooth, color="tab:blue", label="training (mean of 5)")
    for name, label, color in (("heldout/reward", "held out, sampled", "tab:orange"), ("heldout/greedy", "held out, greedy", "tab:green")):
        at, values = _series(lines, name)
        error = {"heldout/reward": "heldout/stderr", "heldout/greedy": "heldout/greedy_stderr"}[name]
        errors = [line.get(error) or 0.0 for line in lines if line.get(name) is not None]
        axis.errorbar(at, values, yerr=errors, color=color, marker="o", capsize=3, label=label)
    low, high = axis.dataLim.intervaly  # reward functions may go beyond 0 and 1
    axis.set(title="Reward (bars: standard error)", ylim=(min(-0.02, low), max(1.02, high)))


def _form_and_content(axis: Axes, lines: Sequence[Line]) -> None:
    for name, label, style in (
        ("reward/format_right", "form, training", {"color": "tab:purple", "alpha": 0.35}),
        ("heldout/format_right", "form, held out", {"color": "tab:purple", "marker": "o"}),
        ("reward/content_right", "content, training", {"color": "tab:brown", "alpha": 0.35}),
        ("heldout/content_right", "content, held out", {"color": "tab:brown", "marker": "o"}),
        ("heldout/greedy_content_right", "content, held out, greedy", {"color": "tab:green", "marker": "o"}),
    ):
        versions, values = _series(lines, name)
        if values:
            axis.plot(versions, values, label=label, **style)
    axis.set(title="Form, and content under a lenient parse", ylim=(-0.02, 1.02))


def _stages(axis: Axes, lines: Sequence[Line]) -> None:
    trained = [line for line in lines if line["version"] > 0]
    versions, below = [line["version"] for line in trained], [0.0] * len(trained)
    for label, name in STAGES:
        seconds = [line.get(f"loop/{name}_s") or 0.0 for line in trained]
        if any(seconds):
            axis.bar(versions, seconds, width=1.0, bottom=below, label=label)
            below = [b + s for b, s in zip(below, seconds, strict=True)]
    axis.set(title="Seconds between two versions, by stage", ylabel="s")


def _parity(axis: Axes, lines: Sequence[Line]) -> None:
    axis.set(title="Engine against learner after the push, and staleness")
    versions, values = _series(lines, "weights/parity_max_abs_dlogp")
    positive = [value for value in values if value > 0]
    if positive:
        axis.semilogy(versions, values, ".", color="tab:red", label="largest |Δ log p|")
        axis.set(ylim=(min(PARITY_RANGE[0], *positive), max(PARITY_RANGE[1], *positive)), ylabel="nats")
    versions, values = _series(lines, "loop/staleness_max")
    if any(values):
        beside = axis.twinx()
        beside.step(versions, values, where="mid", color="tab:gray", alpha=0.6)
        beside.set(ylim=(0, max(values) + 1), ylabel="largest staleness (versions)")
        beside.yaxis.set_major_locator(MaxNLocator(integer=True))
        axis.plot([], [], color="tab:gray", label="largest staleness")  # for the legend
