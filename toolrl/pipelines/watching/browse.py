"""Where a person is among the groups of a run: which one is looked at, which of its completions, and whether only wrong ones are shown.

Until a key is pressed it is the newest group there is, and its first wrong completion; after that it stays until it is left, or is gone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from toolrl.config.task import RewardConfig
from toolrl.errors import RunFolderError
from toolrl.monitor.prompts import find_prompt
from toolrl.pipelines.review.explanation import Explanation, explain_row
from toolrl.pipelines.watching.groups import GroupKey, GroupLine, Groups
from toolrl.types import Prompt

DEADLINE_S = 2.0
"""Longest time for a verdict that is only looked at."""
PROMPTS_KEPT = 64
SAMPLES_KEPT = 64


@dataclass(frozen=True, slots=True)
class Place:
    """Where a person is."""

    key: GroupKey | None = None
    """None: at the newest, whatever comes."""
    sample: int | None = None
    """None: at the first that is wrong."""
    wrong_only: bool = False


class Browser:
    """The groups of a run, and a place among them.

    Args:
        run: The run folder.
        groups: Its groups.
    """

    def __init__(self, run: Path, groups: Groups) -> None:
        self._groups = groups
        self.place = Place()
        self._prompt = lru_cache(PROMPTS_KEPT)(lambda prompt_id: find_prompt(run / "prompts.parquet", prompt_id))
        self._explained = lru_cache(SAMPLES_KEPT)(self._explain)

    def current(self) -> GroupLine | None:
        """Return the group that is looked at, None where there is none. Raises RunFolderError."""
        if self.place.key is not None:
            if found := self._groups.find(self.place.key):
                return found
            self.place = replace(self.place, key=None, sample=None)  # a rewind took it
        return self._groups.newest(self.place.wrong_only)

    def around(self, count: int) -> list[GroupLine]:
        """Return up to `count` groups with the current one among them. Raises RunFolderError."""
        here = self.current()
        return [] if here is None else self._groups.around(here.key, count, wrong_only=self.place.wrong_only)

    def older(self) -> bool:
        """Go to the next older group; returns whether there is one. Raises RunFolderError."""
        return self._go(older=True)

    def newer(self) -> bool:
        """Go to the next newer group; at the newest, follow what comes. Raises RunFolderError."""
        return self._go(older=False)

    def other_sample(self, by: int) -> None:
        """Go to another completion of the same group. Raises RunFolderError."""
        if here := self.current():
            self.place = replace(self.place, key=here.key, sample=(self.sample_of(here) + by) % len(here.reasons))

    def filter_wrong(self) -> None:
        """Show only groups with a wrong completion, or all again."""
        self.place = Place(None, None, not self.place.wrong_only)

    def sample_of(self, line: GroupLine) -> int:
        """Return which completion of the current group is looked at."""
        return line.first_wrong if self.place.sample is None else self.place.sample

    def explanation(self) -> Explanation | None:
        """Return all that is known of the completion that is looked at, None where there is none. Raises RunFolderError."""
        here = self.current()
        return None if here is None else self._explained(here.key, here.prompt_id, self.sample_of(here))

    def _go(self, *, older: bool) -> bool:
        here = self.current()
        if here is None:
            return False
        line = self._groups.step(here.key, older=older, wrong_only=self.place.wrong_only)
        if line is not None:
            at_newest = not older and self._groups.step(line.key, older=False, wrong_only=self.place.wrong_only) is None
            self.place = replace(self.place, key=None if at_newest else line.key, sample=None)
        elif not older:
            self.place = replace(self.place, key=None, sample=None)
        return line is not None

    def _explain(self, key: GroupKey, prompt_id: str, sample: int) -> Explanation | None:
        rows = self._groups.samples(key)
        if sample >= len(rows):
            return None
        prompt: Prompt | None = self._prompt(prompt_id)
        if prompt is None:
            raise RunFolderError(f"prompts.parquet has no prompt {prompt_id!r}, which rollouts name; put the run's own file back")
        return explain_row(rows[sample], rows, prompt, RewardConfig(deadline_s=DEADLINE_S))
