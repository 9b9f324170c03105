"""One draw, from its number to a scored group: prompt ─> engines ─> scorer; sampled again where the group is lost in between."""

from __future__ import annotations

import logging

from toolrl.controller.parts import part
from toolrl.errors import GroupLostError, RolloutError, RunError, ScoringError
from toolrl.protocols import Engines, PromptSource, Scorer
from toolrl.types import Draw, Sampling, ScoredGroup

SAMPLED_AT_MOST = 3
"""Times that one draw is sampled: each loss but the last has taken a node or its store with it."""

logger = logging.getLogger(__name__)


class Roller:
    """Makes the group of any draw.

    Args:
        prompts: What draws are of.
        engines: Where they are sampled.
        scorer: Who verifies them.
        sampling: How.
    """

    def __init__(self, prompts: PromptSource, engines: Engines, scorer: Scorer, sampling: Sampling) -> None:
        self._prompts, self._engines, self._scorer, self._sampling = prompts, engines, scorer, sampling

    async def roll_out(self, number: int) -> ScoredGroup:
        """Consumes one draw; waits for the engines, then for the scorer; is unblocked by them alone; produces a group for the window."""
        with part(RunError, f"prompts, at draw {number}"):
            draw = self._prompts.draw(number)
        for _ in range(SAMPLED_AT_MOST - 1):
            try:
                return await self._once(draw)
            except GroupLostError as error:
                logger.warning("draw %d is sampled again, with the same seeds: %s", number, error)
        return await self._once(draw)

    async def _once(self, draw: Draw) -> ScoredGroup:
        with part(RolloutError, f"engines, sampling draw {draw.number}"):
            group = await self._engines.sample(draw, self._sampling)
        if group.draw != draw.number or len(group.completion_tokens) != self._sampling.n:
            raise RolloutError(
                f"engine {group.engine} answered draw {draw.number} with {len(group.completion_tokens)} completions of draw {group.draw}; "
                f"expected {self._sampling.n}"
            )
        with part(ScoringError, f"scorer, verifying draw {draw.number}"):
            scored = await self._scorer.score(group)
        if len(scored.verdicts) != self._sampling.n:
            raise ScoringError(f"the scorer gave draw {draw.number} {len(scored.verdicts)} verdicts; expected {self._sampling.n}")
        return scored
