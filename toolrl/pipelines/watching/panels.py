"""Which curves are shown, and of which metrics, the most telling first: as many as the terminal has room for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric of a panel."""

    metric: str
    label: str
    colour: str
    """Of the terminal's own palette, so that it can be told from a light and from a dark background."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Metrics on one pair of axes."""

    title: str
    curves: tuple[Curve, ...]
    share: bool = False
    """Whether the axis shows 0 to 1 at least."""


FIRST, SECOND, THIRD = "green", "magenta", "blue"


def _one(title: str, metric: str) -> Panel:
    return Panel(title, (Curve(metric, "", FIRST),))


_REWARD = (Curve("reward/mean", "training", FIRST), Curve("heldout/reward", "held out", SECOND), Curve("heldout/greedy", "greedy", THIRD))
_FORM = (Curve("reward/format_right", "form", FIRST), Curve("reward/content_right", "content", SECOND))
_LENGTH = (Curve("rollout/completion_tokens_mean", "mean", FIRST), Curve("rollout/completion_tokens_max", "longest", SECOND))
_STALE = (Curve("loop/staleness_mean", "mean", FIRST), Curve("loop/staleness_max", "largest", SECOND))
_GREEDY = (
    Curve("heldout/greedy", "reward", FIRST),
    Curve("heldout/greedy_format_right", "form", SECOND),
    Curve("heldout/greedy_content_right", "content", THIRD),
)
PANELS: Final[Mapping[str, tuple[Panel, ...]]] = {
    "rl": (
        Panel("reward", _REWARD, share=True),
        _one("tokens/s", "loop/tokens_per_s"),
        Panel("right", _FORM, share=True),
        Panel("tokens of a completion", _LENGTH),
        _one("entropy", "learner/entropy"),
        _one("gradient norm", "learner/grad_norm"),
        Panel("staleness", _STALE),
        _one("|Δ log p| after a push", "weights/parity_max_abs_dlogp"),
    ),
    "sft": (
        Panel("loss", (Curve("learner/loss", "training", FIRST), Curve("heldout/loss", "held out", SECOND))),
        _one("tokens/s", "loop/tokens_per_s"),
        Panel("greedy answers", _GREEDY, share=True),
        _one("gradient norm", "learner/grad_norm"),
        _one("learning rate", "learner/lr"),
    ),
}
"""By the command that made the run."""


def metrics_of(kind: str) -> frozenset[str]:
    """Return the metrics that the panels of a kind of run show."""
    return frozenset(curve.metric for panel in PANELS[kind] for curve in panel.curves)
