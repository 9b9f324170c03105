"""BFCL's verdict beside the mode's: of the calls, whatever the form, and without a change to the reward."""

import pickle
from dataclasses import replace

import pytest

from toolrl.reward.observed import Observed, bfcl_right
from toolrl.reward.verifier import make_verifier
from toolrl.types import Message, Prompt, Reason, Tool, ToolCall, Verdict

SCHEMA = {"properties": {"city": {"type": "string"}, "unit": {"type": "string", "default": "C"}}, "required": ["city"]}
PROMPT = Prompt("p", "test", (Message("user", "Paris?"),), (Tool("weather", "", SCHEMA),), (ToolCall("weather", {"city": "Paris"}),))
BLOCK = '<tool_call>[{"name": "weather", "arguments": {"city": "Paris"}}]</tool_call>'
THINK = "<think>x</think>"


@pytest.mark.parametrize(
    ("text", "reward", "right"),
    [
        (THINK + BLOCK, 1.0, True),
        (THINK + BLOCK.replace("Paris", "PARIS"), 0.0, True),
        (BLOCK, 0.0, True),
        ("```json\n" + BLOCK.removeprefix("<tool_call>").removesuffix("</tool_call>") + "\n```", 0.0, True),
        (THINK + BLOCK.replace("Paris", "Rome"), 0.0, False),
        (THINK + "Paris is sunny.", 0.0, False),
        ("", 0.0, False),
    ],
)
def test_the_calls_are_judged_by_bfcl_too_and_the_reward_stays(text, reward, right):
    plain = make_verifier("strict")
    verdict = Observed(plain)(PROMPT, text)
    assert (verdict.reward, verdict.bfcl_right) == (reward, right)
    assert replace(verdict, bfcl_right=None) == plain(PROMPT, text)


def test_no_call_is_right_where_none_is_wanted():
    none = replace(PROMPT, reference=())
    assert bfcl_right(none, "I cannot.")
    assert bfcl_right(none, THINK + "<tool_call>[]</tool_call>")
    assert not bfcl_right(none, THINK + BLOCK)


def test_a_failed_verifier_stays_failed():
    failed = Observed(lambda prompt, text: Verdict(None, Reason.VERIFIER_ERROR, got="x"))(PROMPT, BLOCK)
    assert (failed.reward, failed.reason, failed.got) == (None, Reason.VERIFIER_ERROR, "x")


def test_it_travels():
    observed = Observed(make_verifier("bfcl", "list", {"partial_names": 0.5, "format": 0.5}))
    assert pickle.loads(pickle.dumps(observed)) == observed  # noqa: S301 our own bytes
