"""ACEBench (English, all but its agents) as a benchmark: our verdicts, and beside them upstream's rules or its own code.

our verdict      the calls equal one of the answers as data; where no call is right, none is made and something is said instead
upstream's       its checker's rules for calls and for sentences: written anew in `rules` and `sentences`, or, with a checkout of
                 upstream, its own checker for calls in a process of its own
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from toolrl.calls.accept import explain_strict
from toolrl.calls.fault import Fault
from toolrl.errors import UserError
from toolrl.evaluation.acebench.categories import AVERAGES, MULTI_TURN, SPECIAL, chosen_categories
from toolrl.evaluation.acebench.questions import Question, doubt, read_questions
from toolrl.evaluation.acebench.rules import accepts
from toolrl.evaluation.acebench.sentences import explain_silence, says
from toolrl.evaluation.averages import Average
from toolrl.evaluation.benchmark import Item, Known, Official
from toolrl.evaluation.checkout.process import Checkout
from toolrl.evaluation.reading import form_right, judged, read_calls
from toolrl.types import Prompt, Reason, ToolCall, Verdict

CHECKER: Final = "model_eval/checker.py"
OUR_RULES: Final = "upstream's rules in our implementation; name a checkout of it by --acebench-root to have its own checker judge calls"
REJECTED: Final = "upstream's rules reject the label itself"


class AceBenchmark:
    """Implements `evaluation.benchmark.Benchmark`.

    Args:
        questions: What is asked.
        root: A checkout of upstream, whose checker judges calls; None: our implementation of its rules does.
        python: The interpreter that runs upstream's code.
    """

    name = "acebench"
    title = "ACEBench"

    def __init__(self, questions: Sequence[Question], root: Path | None = None, python: str = sys.executable) -> None:
        self._questions = {question.item.id: question for question in questions}
        self._root = root
        self._python = python

    @classmethod
    def load(cls, data: Path, categories: Sequence[str] = (), *, root: Path | None = None, python: str = sys.executable) -> AceBenchmark:
        """Return the benchmark with these categories, all where none is named.

        Args:
            data: The folder with upstream's data_*.json and possible_answer/.
            categories: Of `categories.CATEGORIES`, or groups of them.
            root: A checkout of upstream.
            python: The interpreter that runs upstream's code.

        Raises:
            ConfigError: A category is none.
            DataError: A file is missing, or none of ACEBench's.
            UserError: `root` is no checkout.
        """
        wanted = chosen_categories(categories)
        if root is not None and not (root / CHECKER).is_file():
            raise UserError(f"{root}: expected a checkout of ACEBench, with {CHECKER} in it; name its folder")
        return cls(read_questions(data, wanted), root and root.resolve(), python)

    @property
    def items(self) -> Sequence[Item]:
        """Every question, in the order of the categories and their files."""
        return tuple(question.item for question in self._questions.values())

    @property
    def averages(self) -> Sequence[Average]:
        """Each category, then the averages by upstream's formulas, then those of the paper's categories."""
        return AVERAGES

    @cached_property
    def known(self) -> Sequence[Known]:
        """Items whose label contradicts the schemas on offer, and those whose label upstream's rules reject."""
        whys = ((id, [why for why in (doubt(each), _rejected(each)) if why]) for id, each in self._questions.items())
        return tuple(Known(id, "; ".join(why)) for id, why in whys if why)

    def verdict(self, item: Item, text: str) -> Verdict:
        """Our verdict on a completion."""
        answers = self._questions[item.id].answers
        if not answers:
            return _verdict_on_silence(text)
        prompts = [replace(item.prompt, reference=calls) for calls in answers]
        return judged(item.prompt, text, lambda calls: _fault(calls, prompts))

    def official(self, answers: Mapping[str, str], folder: Path) -> Official:
        """Judge completions by item id by upstream's rules; the output of its own code, if that judges, goes to `folder`.

        The `scores` of multi-turn categories are upstream's: the share of dialogues of which every turn is right.

        Raises:
            UserError: Upstream's code does not start.
            RunError: It is lost again and again.
        """
        asked = [question for id, question in self._questions.items() if id in answers]
        said = [question for question in asked if question.item.category in SPECIAL]
        right = {each.item.id: says(answers[each.item.id], each.item.category, each.truths[0]) for each in said}
        called = [question for question in asked if question.item.category not in SPECIAL]
        right |= self._checked(called, answers, folder)
        note = OUR_RULES if self._root is None else f"upstream's own checker, from {self._root}; special categories by our implementation"
        return Official({question.item.id: right[question.item.id] for question in asked}, _scores(asked, right), note=note)

    def _checked(self, questions: Sequence[Question], answers: Mapping[str, str], folder: Path) -> dict[str, bool]:
        """Return what upstream's rules for calls say to each answer."""
        read = [(question, read_calls(answers[question.item.id])) for question in questions]
        given = [(question, () if isinstance(calls, Fault) else calls) for question, calls in read]
        if self._root is None or not given:
            return {question.item.id: _accepted(question, calls) for question, calls in given}
        folder.mkdir(parents=True, exist_ok=True)
        with Checkout("acebench", self._root, python=self._python, log=folder / "official.log") as upstream:
            return {answer.id: answer.right for answer in upstream.ask(_request(question, calls) for question, calls in given)}


def _fault(calls: Sequence[ToolCall], prompts: Sequence[Prompt]) -> Fault | None:
    """Return None where calls equal the reference of one of the prompts, else what is wrong beside the first."""
    faults = [explain_strict(calls, prompt) for prompt in prompts]
    return None if None in faults else faults[0]


def _verdict_on_silence(text: str) -> Verdict:
    fault = explain_silence(text)
    if fault is None:
        return Verdict(1.0, Reason.CORRECT, format_right=form_right(text), content_right=True)
    return Verdict(0.0, fault.reason, fault.path, fault.expected, fault.got, form_right(text))


def _accepted(question: Question, calls: Sequence[ToolCall]) -> bool:
    return any(accepts(calls, question.row["function"], truth) for truth in question.truths)


def _rejected(question: Question) -> str:
    """Return that upstream's rules reject every answer of the file itself, or nothing."""
    return REJECTED if question.answers and not any(_accepted(question, calls) for calls in question.answers) else ""


def _request(question: Question, calls: Sequence[ToolCall]) -> Mapping[str, Any]:
    return {
        "id": question.item.id,
        "calls": [{"name": call.name, "arguments": call.arguments} for call in calls],
        "functions": question.row["function"],
        "answers": question.truths,
        "question": question.row["question"],
        "category": question.item.category,
    }


def _scores(asked: Sequence[Question], right: Mapping[str, bool]) -> dict[str, float]:
    """Return the accuracy of each category as upstream's program counts."""
    units: defaultdict[str, dict[str, bool]] = defaultdict(dict)  # category -> its questions, or its dialogues -> whether right
    for question in asked:
        id, category = question.item.id, question.item.category
        unit = question.item.prompt.dialogue if category in MULTI_TURN else id
        units[category][unit] = right[id] and units[category].get(unit, True)
    return {category: sum(each.values()) / len(each) for category, each in units.items()}
