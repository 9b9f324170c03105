"""The single-turn categories of BFCL as a benchmark: our verdicts, and those of upstream's own program beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from toolrl.errors import UserError
from toolrl.evaluation.averages import Average
from toolrl.evaluation.benchmark import Item, Known, Official
from toolrl.evaluation.bfcl.averages import AVERAGES
from toolrl.evaluation.bfcl.categories import ITEMS, single_turn_categories
from toolrl.evaluation.bfcl.environment import official_environment
from toolrl.evaluation.bfcl.known import KNOWN
from toolrl.evaluation.bfcl.official import judge
from toolrl.evaluation.bfcl.questions import differing, read_items
from toolrl.evaluation.bfcl.results import write_results
from toolrl.evaluation.bfcl.rules import verdict
from toolrl.types import Verdict


class BfclBenchmark:
    """Implements `evaluation.benchmark.Benchmark`.

    Args:
        items: What is asked.
        data: The folder the items were read from.
        tell: Told before something that takes a while.
    """

    name = "bfcl"
    title = "BFCL v4"

    def __init__(self, items: Sequence[Item], data: Path, tell: Callable[[str], None] = lambda _: None) -> None:
        self._items = tuple(items)
        self._data = data
        self._tell = tell

    @classmethod
    def load(cls, categories: Sequence[str], data: Path | None, tell: Callable[[str], None] = lambda _: None) -> BfclBenchmark:
        """Return the benchmark with these categories, all single-turn ones where none is named.

        Args:
            categories: In the spelling of v4.
            data: A folder with BFCL's question files; None: that of the official evaluator, whose environment is made if need be.
            tell: Told before something that takes a while.

        Raises:
            ConfigError: A category is none.
            DataError: A file cannot be read.
            UserError: The environment cannot be made.
        """
        wanted = single_turn_categories(categories)
        folder = data or official_environment(tell).data
        return cls(read_items(folder, wanted), folder, tell)

    @property
    def items(self) -> Sequence[Item]:
        """Every item, in the order of the categories and their files."""
        return self._items

    @property
    def averages(self) -> Sequence[Average]:
        """Each category, then the averages by upstream's formulas."""
        return AVERAGES

    @property
    def known(self) -> Sequence[Known]:
        """Items that cannot be passed, or whose verdict depends on what should not matter."""
        there = {item.id for item in self._items}
        return tuple(each for each in KNOWN if each.id in there)

    def verdict(self, item: Item, text: str) -> Verdict:
        """Our verdict on a completion: on the calls of its only block, whether or not it reasons."""
        return verdict(item, text)

    def official(self, answers: Mapping[str, str], folder: Path) -> Official:
        """Let upstream's own program judge completions by item id; its files and its log go to `folder`.

        Categories of which not every item has an answer are judged by those that have one. Raises RunError where it fails.
        """
        try:
            environment = official_environment(self._tell)
        except UserError as error:  # what is ours stands without it
            return Official(not_run=str(error))
        asked = self._asked(answers)
        if not asked:
            return Official()
        if changed := [file for category in asked for file in differing(category, self._data, environment.data)]:
            why = f"{self._data} has other questions than bfcl-eval's own ({', '.join(changed)}), which it judges by"
            return Official(not_run=f"{why}; take its own, by naming no folder")
        folder.mkdir(parents=True, exist_ok=True)
        for category, ids in asked.items():
            write_results(folder, category, [(id, answers[id]) for id in ids])
        return judge(environment, asked, folder, partial=any(len(ids) < ITEMS[category] for category, ids in asked.items()))

    def _asked(self, answers: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
        """Return the ids that have an answer, by category."""
        found = defaultdict(list)
        for item in self._items:
            if item.id in answers:
                found[item.category].append(item.id)
        return found
