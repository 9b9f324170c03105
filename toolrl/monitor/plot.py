"""The curves of a run as one picture, from metrics.jsonl.

    of `toolrl rl`                                                       of `toolrl sft`
    reward (train, held out, greedy) | form and content                  loss (train, held out) | greedy answers: reward, form, content
    seconds by stage                 | parity of both sides, staleness   gradient norm          | learning rate, tokens per second

Read from the file alone, so that a run can be plotted while it goes on, or on another machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
SMOOTHED_STEPS = 25
"""Optimizer steps behind the thick line of the training loss."""


def plot_curves(metrics: Path, target: Path) -> None:
    """Write the curves of `metrics` (metrics.jsonl) as the PNG `target`; a run without a trained version gives empty axes."""
    _plot(metrics, target, (_rewards, _form_and_content, _stages, _parity), "version (batches trained)")


def plot_supervised(metrics: Path, target: Path) -> None:
    """Write the curves of a supervised run, as `plot_curves` does."""
    _plot(metrics, target, (_losses, _greedy, _gradients, _rates), "optimizer step")


def _plot(metrics: Path, target: Path, panels: Sequence[Callable[[Axes, Sequence[Line]], None]], below: str) -> None:
    lines = read_lines(metrics)
    figure, axes = plt.subplots(2, 2, figsize=(11, 7), layout="constrained")
    for axis, panel in zip(axes.flat, panels, strict=True):
        panel(axis, lines)
        axis.set_xlabel(below)
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize="small")
    figure.suptitle(metrics.parent.name)
    figure.savefig(target, dpi=120)
    plt.close(figure)


def _series(lines: Sequence[Line], name: str) -> tuple[list[float], list[float]]:
    found = [(line["version"], line[name]) for line in lines if line.get(name) is not None]
    return [version for version, _ in found], [value for _, value in found]


def _smoothed(axis: Axes, lines: Sequence[Line], name: str, over: int) -> None:
    """Draw a metric of training, thin as it is and thick as the mean of the last `over`."""
    versions, values = _series(lines, name)
    axis.plot(versions, values, color="tab:blue", alpha=0.3)
    smooth = [sum(part) / len(part) for part in (values[max(0, i - over + 1) : i + 1] for i in range(len(values)))]
    axis.plot(versions, smooth, color="tab:blue", label=f"training (mean of {over})")


def _with_errors(axis: Axes, lines: Sequence[Line], name: str, error: str, label: str, color: str) -> None:
    at, values = _series(lines, name)
    errors = [line.get(error) or 0.0 for line in lines if line.get(name) is not None]
    if values:
        axis.errorbar(at, values, yerr=errors, color=color, marker="o", capsize=3, label=label)


def _rewards(axis: Axes, lines: Sequence[Line]) -> None:
    _smoothed(axis, lines, "reward/mean", SMOOTHED_OVER)
    _with_errors(axis, lines, "heldout/reward", "heldout/stderr", "held out, sampled", "tab:orange")
    _with_errors(axis, lines, "heldout/greedy", "heldout/greedy_stderr", "held out, greedy", "tab:green")
    _share_axis(axis, "Reward (bars: standard error)")


def _share_axis(axis: Axes, title: str) -> None:
    """Show 0 to 1, and what lies beyond: reward functions may."""
    low, high = axis.dataLim.intervaly
    axis.set(title=title, ylim=(min(-0.02, low), max(1.02, high)))


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


def _losses(axis: Axes, lines: Sequence[Line]) -> None:
    _smoothed(axis, lines, "learner/loss", SMOOTHED_STEPS)
    _with_errors(axis, lines, "heldout/loss", "heldout/loss_stderr", "held out", "tab:orange")
    axis.set(title="Cross-entropy of a token (bars: standard error)", ylabel="nats")
    axis.set_ylim(bottom=0)


def _greedy(axis: Axes, lines: Sequence[Line]) -> None:
    _with_errors(axis, lines, "heldout/greedy", "heldout/greedy_stderr", "reward", "tab:green")
    for name, label, color in (
        ("heldout/greedy_format_right", "form", "tab:purple"),
        ("heldout/greedy_content_right", "content", "tab:brown"),
    ):
        versions, values = _series(lines, name)
        if values:
            axis.plot(versions, values, label=label, color=color, marker=".")
    _share_axis(axis, "Greedy answers to held-out prompts (bars: standard error)")


def _gradients(axis: Axes, lines: Sequence[Line]) -> None:
    axis.plot(*_series(lines, "learner/grad_norm"), color="tab:gray")
    axis.set(title="Gradient norm before clipping")


def _rates(axis: Axes, lines: Sequence[Line]) -> None:
    axis.plot(*_series(lines, "learner/lr"), color="tab:red", label="learning rate")
    axis.set(title="Learning rate, and speed", ylabel="learning rate")
    beside = axis.twinx()
    beside.plot(*_series(lines, "loop/tokens_per_s"), color="tab:blue", alpha=0.5)
    beside.set(ylabel="completion tokens/s")
    beside.set_ylim(bottom=0)
    axis.plot([], [], color="tab:blue", alpha=0.5, label="tokens per second")  # for the legend
