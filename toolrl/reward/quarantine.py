"""Prompts that cost a reward worker again and again are not judged any more: each time it costs seconds, and teaches nothing.

    a group hangs, kills or swells its worker ─> its prompt has one more ─> `after` of them: every later group of it is `quarantined`

It is counted anew in each process of a run: what was the fault of a machine is forgotten when the run is resumed.
"""

from __future__ import annotations

import logging
from collections import Counter

from toolrl.calls.fault import shown
from toolrl.types import Reason, Verdict

logger = logging.getLogger(__name__)


class Quarantine:
    """Counts, and tells once of each prompt that it shuts out.

    Args:
        after: Groups of a prompt that cost a worker before it is shut out; 0: none ever is.
    """

    def __init__(self, after: int) -> None:
        self._after = after
        self._cost: Counter[str] = Counter()
        self._verdicts: dict[str, Verdict] = {}

    @property
    def prompts(self) -> int:
        """How many prompts are shut out."""
        return len(self._verdicts)

    def note(self, prompt_id: str, why: str) -> None:
        """Count a group of `prompt_id` that cost its worker."""
        self._cost[prompt_id] += 1
        if self._cost[prompt_id] != self._after:
            return
        said = f"{self._after} groups of this prompt cost a reward worker; the last: {why}"
        self._verdicts[prompt_id] = Verdict(None, Reason.QUARANTINED, got=shown(said))
        logger.warning(
            "prompt %s is in quarantine: %s. Its groups get no reward until the run ends (reward.quarantine_after)", shown(prompt_id), said
        )

    def verdict(self, prompt_id: str) -> Verdict | None:
        """Return the verdict on each completion of a prompt that is shut out, or None."""
        return self._verdicts.get(prompt_id)
