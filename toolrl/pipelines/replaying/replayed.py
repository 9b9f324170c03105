"""What came of a replay: everything its page and its JSON are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolrl.learner.inspection import Inspection
from toolrl.pipelines.replaying.plan import Plan
from toolrl.types import Prompt, TrainedGroup


@dataclass(frozen=True)
class Check:
    """How near a batch that was trained again came to what the run logged of it."""

    version: int
    """That the batch made."""
    max_difference: float
    """Largest |loss share - logged loss share| over its completions; inf where one was trained in one of the two only."""


@dataclass(frozen=True)
class Replayed:
    """One sample from tokens to loss."""

    plan: Plan
    prompt: Prompt
    prompt_ids: NDArray[np.int32]
    """[T], through the chat template."""
    pieces: tuple[str, ...]
    """Text of each token of the completion."""
    inspection: Inspection
    checks: tuple[Check, ...]
    """Of the batches trained again, in order."""

    @property
    def difference(self) -> float | None:
        """The replayed loss share less the logged one; None where the run could not train the batch."""
        logged = self.plan.row["loss_share"]
        return None if logged is None else self.inspection.loss_share - float(logged)


def check(version: int, trained: Mapping[int, TrainedGroup], stored: Mapping[int, TrainedGroup]) -> Check:
    """Return how the loss shares of a batch differ from the stored ones, both by draw."""
    pairs = [
        pair
        for draw, group in stored.items()
        for pair in zip(trained[draw].loss_shares, group.loss_shares, strict=True)
        if pair != (None, None)
    ]
    return Check(version, max((_distance(*pair) for pair in pairs), default=0.0))


def _distance(ours: float | None, theirs: float | None) -> float:
    return float("inf") if ours is None or theirs is None else abs(ours - theirs)
