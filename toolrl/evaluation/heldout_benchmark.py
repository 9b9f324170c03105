"""One's own held-out prompts as a benchmark: right is what the reward calls right, by source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from toolrl.evaluation.averages import Average
from toolrl.evaluation.benchmark import Item, Known, Official
from toolrl.protocols import Verifier
from toolrl.reward.judge import judge
from toolrl.types import Prompt, Verdict


class HeldoutBenchmark:
    """Implements `benchmark.Benchmark` over prompts with a reference.

    Args:
        prompts: What is asked; a category is a source.
        verifier: Says what is right.
        deadline_s: Longest time of one verdict where the verifier runs a function of the user's; None: no limit.
    """

    name = "heldout"
    title = "Held-out prompts"

    def __init__(self, prompts: Sequence[Prompt], verifier: Verifier, deadline_s: float | None = None) -> None:
        self._items = tuple(Item(prompt.id, prompt.source, prompt) for prompt in prompts)
        self._verifier = verifier
        self._deadline_s = deadline_s

    @property
    def items(self) -> Sequence[Item]:
        """Every prompt."""
        return self._items

    @property
    def averages(self) -> Sequence[Average]:
        """Each source, where there are several, and all."""
        sources = tuple(dict.fromkeys(item.category for item in self._items))
        each = [Average(source, (source,)) for source in sources] if len(sources) > 1 else []
        return [*each, Average("All", sources)]

    @property
    def known(self) -> Sequence[Known]:
        """None: what contradicts itself is dropped by `toolrl prepare`."""
        return ()

    def verdict(self, item: Item, text: str) -> Verdict:
        """Return the verdict of the reward."""
        return judge(self._verifier, item.prompt, text, self._deadline_s)

    def official(self, answers: Mapping[str, str], folder: Path) -> Official:
        """Nobody else has rules for these prompts."""
        return Official()
