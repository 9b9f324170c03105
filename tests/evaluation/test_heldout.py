"""Held-out reward, with its standard errors worked by hand."""

import asyncio
import math

import numpy as np
import pytest

from toolrl.evaluation.heldout import HeldoutEvaluator
from toolrl.testing.fakes import FakePrompts, World
from toolrl.types import Completion, Group, Reason, ScoredGroup, Verdict, VersionSpan, WeightVersion

RIGHT = Verdict(1.0, Reason.CORRECT, format_right=True, content_right=True)
FORM = Verdict(0.0, Reason.NO_THINK, content_right=True)
WRONG = Verdict(0.0, Reason.WRONG_NAME, format_right=True)
FAILED = Verdict(None, Reason.VERIFIER_ERROR)


class Engines:
    """Answers every draw with one completion whose text is the temperature."""

    def __init__(self):
        self.asked = []

    async def sample(self, draw, sampling):
        self.asked.append((draw.number, draw.seed, sampling.n, sampling.temperature))
        ids = np.arange(draw.number + 1, dtype=np.int32)
        member = Completion(
            ids, ids.astype(np.float32), ids >= 0, str(sampling.temperature), "stop", 0, (VersionSpan(WeightVersion(0), 0, 1),)
        )
        group = Group(draw, (member,))
        return group.ref(group, engine="e", sample_s=0.0)


class Scorer:
    def __init__(self, sampled, greedy):
        self._verdicts = {"1.0": sampled, "0.0": greedy}

    async def score(self, group):
        return ScoredGroup(group, (self._verdicts[group.handle.completions[0].text][group.draw],))


def evaluate(sampled, greedy, temperature=1.0):
    engines, prompts = Engines(), FakePrompts(World())
    draws = [prompts.draw(i) for i in range(len(greedy))]
    evaluator = HeldoutEvaluator(draws, engines=engines, scorer=Scorer(sampled, greedy), temperature=temperature, max_tokens=9)
    return asyncio.run(evaluator.evaluate(WeightVersion(0))), engines


def test_sampled_and_greedy_form_and_content_are_told_apart():
    metrics, _ = evaluate([RIGHT, FORM, WRONG, WRONG], [RIGHT, RIGHT, FORM, WRONG])
    assert metrics["heldout/reward"] == 0.25
    assert metrics["heldout/stderr"] == pytest.approx(math.sqrt((0.75**2 + 3 * 0.25**2) / 3 / 4))
    assert metrics["heldout/greedy"] == 0.5
    assert (metrics["heldout/format_right"], metrics["heldout/content_right"]) == (0.75, 0.5)
    assert (metrics["heldout/greedy_format_right"], metrics["heldout/greedy_content_right"]) == (0.75, 0.75)
    assert metrics["heldout/completion_tokens_mean"] == 2.5


def test_a_verifier_failure_leaves_the_mean_and_is_counted():
    metrics, _ = evaluate([RIGHT, FAILED], [RIGHT, RIGHT])
    assert metrics["heldout/reward"] == 1.0
    assert metrics["heldout/failed"] == 1.0


def test_two_evaluations_sample_the_same_seeds():
    asked = [sorted(evaluate([RIGHT] * 3, [RIGHT] * 3)[1].asked) for _ in range(2)]
    assert asked[0] == asked[1]
    assert {n for _, _, n, _ in asked[0]} == {1}
    assert len(asked[0]) == 6


def test_greedy_answers_alone_are_the_same_as_beside_sampled_ones():
    both, _ = evaluate([WRONG] * 3, [RIGHT, FAILED, FORM])
    metrics, engines = evaluate([], [RIGHT, FAILED, FORM], temperature=None)
    assert {temperature for *_, temperature in engines.asked} == {0.0}
    assert len(engines.asked) == 3
    assert metrics == {name: value for name, value in both.items() if "greedy" in name or name == "heldout/failed"}
    assert (metrics["heldout/greedy"], metrics["heldout/greedy_completion_tokens_mean"]) == (0.5, 2.0)
