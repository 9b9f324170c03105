"""API-Bank, levels 1 and 2, as a benchmark: name and parameters by our rules, executed APIs by upstream's own code.

our verdict      exactly one call; its name is the label's; its parameters are the label's as data: the same names, each value equal
upstream's       the call is executed on fresh databases, and the API compares its result with the label's by a rule of its own
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from toolrl.calls.accept import explain_strict
from toolrl.calls.render import to_json
from toolrl.errors import ConfigError, UserError
from toolrl.evaluation.apibank.dialogues import LEVELS, Step, read_catalogue, read_steps
from toolrl.evaluation.apibank.items import CALLS, CATEGORIES, LEVEL_1, SEARCHES, category_of, doubt, to_item
from toolrl.evaluation.averages import Average
from toolrl.evaluation.benchmark import Item, Known, Official
from toolrl.evaluation.checkout.process import Checkout
from toolrl.evaluation.reading import judged, read_calls
from toolrl.types import Json, ToolCall, Verdict

AVERAGES: Final = (
    Average("Level 2, searches", (SEARCHES,)),
    Average("Level 2, other calls", (CALLS,)),
    Average("Level 1 (Call)", (LEVEL_1,)),
    Average("Level 2 (Retrieve+Call)", (SEARCHES, CALLS), whole=True),
)
NOT_RUN: Final = (
    "the official metric executes the calls with upstream's own code; name its folder (DAMO-ConvAI/api-bank of AlibabaResearch) by "
    "--apibank-root"
)
MANAGER: Final = "tool_manager.py"
MAX_NAMED: Final = 8
"""APIs that a note names."""


class ApiBankBenchmark:
    """Implements `evaluation.benchmark.Benchmark`.

    Args:
        steps: The calls to be written, each with its item.
        root: Upstream's folder; None: nothing is judged officially.
        python: The interpreter that runs upstream's code.
    """

    name = "apibank"
    title = "API-Bank"

    def __init__(self, steps: Sequence[tuple[Step, Item]], root: Path | None = None, python: str = sys.executable) -> None:
        self._steps = tuple(steps)
        self._root = root
        self._python = python

    @classmethod
    def load(
        cls, data: Path, categories: Sequence[str] = (), *, root: Path | None = None, python: str = sys.executable
    ) -> ApiBankBenchmark:
        """Return the benchmark with these categories, all where none is named.

        Args:
            data: The folder with level1_dialogues.jsonl, level2_dialogues.jsonl and unified.jsonl.
            categories: Of `CATEGORIES`.
            root: A checkout of upstream's api-bank, or of the repository that holds it.
            python: The interpreter that runs upstream's code: one with what that needs.

        Raises:
            ConfigError: A category is none.
            DataError: A file is missing, or none of API-Bank's.
            UserError: `root` is no checkout.
        """
        for name in categories:
            if name not in CATEGORIES:
                near = get_close_matches(name, CATEGORIES, n=1) or CATEGORIES
                raise ConfigError(f"category: got {name!r}; name any of {', '.join(near)}")
        catalogue = read_catalogue(data)
        steps = [step for level in LEVELS for step in read_steps(data, level) if not categories or category_of(step) in categories]
        return cls([(step, to_item(step, catalogue)) for step in steps], root and _upstream(root), python)

    @property
    def items(self) -> Sequence[Item]:
        """Every call, level 1 first."""
        return tuple(item for _, item in self._steps)

    @property
    def averages(self) -> Sequence[Average]:
        """The two parts of level 2, then the levels."""
        return AVERAGES

    @cached_property
    def known(self) -> Sequence[Known]:
        """Items whose label contradicts the schemas on offer."""
        return tuple(found for item in self.items if (found := doubt(item)) is not None)

    def verdict(self, item: Item, text: str) -> Verdict:
        """Our verdict on a completion, by name and parameters."""
        return judged(item.prompt, text, lambda calls: explain_strict(calls, item.prompt))

    def official(self, answers: Mapping[str, str], folder: Path) -> Official:
        """Let upstream's code execute the calls of completions by item id; its output goes to `folder`.

        An item whose own label is rejected (an API that wants the network, a result that is of another day) says nothing of an answer: it
        is not judged, and the note tells how many those are. Upstream's program counts them as wrong, and so do the `scores`.

        Raises:
            UserError: Upstream's code does not start.
            RunError: It is lost again and again.
        """
        if self._root is None:
            return Official(not_run=NOT_RUN)
        folder.mkdir(parents=True, exist_ok=True)
        asked = [(step, item) for step, item in self._steps if item.id in answers]
        with Checkout("apibank", self._root, python=self._python, log=folder / "official.log") as upstream:
            labels = {answer.id for answer in upstream.ask(_request(step, step.call) for step, _ in asked) if answer.right}
            judged_steps = [step for step, _ in asked if step.id in labels]
            right = {step.id: False for step in judged_steps}
            right |= {answer.id: answer.right for answer in upstream.ask(_requests(judged_steps, answers))}
            lacking = upstream.lacking
        rejected = [step for step, _ in asked if step.id not in labels]
        return Official(right, _scores(asked, right), note=_note(self._root, rejected, lacking))


def _upstream(root: Path) -> Path:
    for folder in (root, root / "api-bank"):
        if (folder / MANAGER).is_file():
            return folder.resolve()
    raise UserError(f"{root}: expected upstream's api-bank, with {MANAGER} in it; name the folder of a checkout")


def _requests(steps: Sequence[Step], answers: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    """Yield what upstream is asked: those completions that make one call."""
    for step in steps:
        calls = read_calls(answers[step.id])
        if isinstance(calls, tuple) and len(calls) == 1:
            yield _request(step, calls[0])


def _request(step: Step, call: ToolCall) -> Mapping[str, Any]:
    arguments = {name: _text(value) for name, value in call.arguments.items()}
    label = {"api_name": step.call.name, "result": step.result}
    return {"id": step.id, "call": {"name": call.name, "arguments": arguments}, "label": label}


def _text(value: Json) -> str:
    """Return a value as upstream's APIs are given it: they read numbers, truth values and lists from text."""
    if isinstance(value, str):
        return value
    return str(value) if value is None or isinstance(value, bool) else to_json(value)


def _scores(asked: Sequence[tuple[Step, Item]], right: Mapping[str, bool]) -> dict[str, float]:
    """Return the accuracy by category as upstream's program counts: an item whose label is rejected is wrong."""
    items = Counter(item.category for _, item in asked)
    good = Counter(item.category for _, item in asked if right.get(item.id))
    return {category: good[category] / count for category, count in items.items()}


def _note(root: Path, rejected: Sequence[Step], lacking: Sequence[str]) -> str:
    told = [f"upstream's own code, from {root}"]
    if rejected:
        by_api = Counter(step.call.name for step in rejected)
        apis = ", ".join(f"{name} {count}" for name, count in by_api.most_common(MAX_NAMED)) + ", …" * (len(by_api) > MAX_NAMED)
        told.append(f"it rejects its own label on {len(rejected)} items ({apis}): they are not judged, and wrong to upstream's program")
    if lacking:
        told.append(f"packages that it asks for and has not: {', '.join(lacking)}")
    return "; ".join(told)
