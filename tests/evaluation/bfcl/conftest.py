"""The official evaluator's environment, made once in the user's cache where it is not there, and the questions it holds."""

from collections import Counter

import pytest

from toolrl.calls.render import render_completion
from toolrl.errors import UserError
from toolrl.evaluation.bfcl.benchmark import BfclBenchmark
from toolrl.evaluation.bfcl.environment import official_environment
from toolrl.types import ToolCall


@pytest.fixture(scope="session")
def environment():
    """The environment; making it takes half a minute and a package index."""
    try:
        return official_environment()
    except UserError as error:
        pytest.skip(f"the official evaluator cannot be installed: {error}")


@pytest.fixture(scope="session")
def benchmark(environment):
    """Every single-turn question."""
    return BfclBenchmark.load((), environment.data)


@pytest.fixture(scope="session")
def gold(benchmark):
    """Each item's own answer as the model would write it, by item id; of `live_relevance` any call."""
    return {item.id: render_completion(right_calls(item), "It asks for this.") for item in benchmark.items}


def right_calls(item):
    if item.category == "live_relevance":
        return (ToolCall(item.prompt.tools[0].name, {}),)
    return item.prompt.reference


class Judged:
    """Completions judged by both sides."""

    def __init__(self, benchmark, answers, folder):
        self.items = benchmark.items
        self.ours = {item.id: benchmark.verdict(item, answers[item.id]) for item in benchmark.items}
        self.official = benchmark.official(answers, folder)
        assert self.official.not_run == ""

    @property
    def counts(self):
        """Category -> (officially right, items)."""
        items = Counter(item.category for item in self.items)
        right = Counter(item.category for item in self.items if self.official.right[item.id])
        return {category: (right[category], n) for category, n in items.items()}

    @property
    def differing(self):
        """Items on which the two sides say different things."""
        return [item.id for item in self.items if self.official.right[item.id] != (self.ours[item.id].reward == 1.0)]

    @property
    def wrong(self):
        """Items that are wrong officially."""
        return {item.id for item in self.items if not self.official.right[item.id]}


@pytest.fixture
def judged(benchmark, tmp_path):
    """Judge completions by item id: `judged(answers)`."""
    return lambda answers: Judged(benchmark, answers, tmp_path / "official")


@pytest.fixture(scope="session")
def calls_of():
    """The right calls of an item."""
    return right_calls
