"""Rows in BFCL's own forms, and the official verdict on each category."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from bfcl_sample import FUNCTION, bfcl, called

from toolrl.pipelines.bfcl_rows import bfcl_verdict, read_bfcl_row


def completion(arguments):
    return f'<think>x</think><tool_call>[{{"name": "f", "arguments": {arguments}}}]</tool_call>'


def judged(*rows):
    verdicts = [bfcl_verdict(read_bfcl_row(row)) for row in rows]
    assert all((verdict.reward == 1.0) == verdict.bfcl_right == (verdict.reason == "correct") for verdict in verdicts)
    return [(verdict.bfcl_right, verdict.reason, verdict.path) for verdict in verdicts]


def test_calls_may_be_as_bfcl_decodes_them_and_the_function_alone():
    assert judged(bfcl(calls=[{"f": {"city": "Paris"}}], function=FUNCTION)) == [(True, "correct", "")]


def test_a_completion_is_read_by_the_strict_form():
    right = '<think>x</think><tool_call>[{"name": "f", "arguments": {"city": "PARIS"}}]</tool_call>'
    texts = [right, right.removeprefix("<think>x</think>"), "<think>x</think>None fits.", "<think>x</think><tool_call>[]</tool_call>"]
    assert judged(*(bfcl(calls=..., text=text) for text in texts)) == [
        (True, "correct", ""),
        (False, "no_think", ""),
        (False, "no_tool_call", ""),
        (False, "wrong_count", "reference[0]"),
    ]


def test_the_order_of_parallel_calls_is_free():
    truth = [{"f": {"city": ["Rome", "Oslo"]}}, {"f": {"city": ["Rome"]}}]
    calls = [called(city="Rome"), called(city="Oslo")]
    rows = [bfcl(category=name, ground_truth=truth, calls=each) for name in ("parallel", "live_parallel") for each in (calls, calls[::-1])]
    assert [valid for valid, *_ in judged(*rows)] == [True] * 4


@pytest.mark.parametrize("category", ["simple", "simple_python", "live_simple", "multiple", "live_multiple", "parallel_multiple"])
def test_the_categories_of_python_share_their_rules(category):
    assert judged(bfcl(category=category), bfcl(category=category, calls=[])) == [
        (True, "correct", ""),
        (False, "wrong_count", "reference[0]"),
    ]


@pytest.mark.parametrize(
    ("category", "word", "right"),
    [("java", "long", "5L"), ("simple_java", "long", "5L"), ("javascript", "Bigint", "5n"), ("simple_javascript", "Bigint", "5n")],
)
def test_values_of_java_and_javascript_are_literals(category, word, right):
    function = {"name": "f", "description": "", "parameters": {"type": "dict", "properties": {"n": {"type": word}}, "required": ["n"]}}
    rows = [bfcl(category=category, function=[function], ground_truth=[{"f": {"n": [5]}}], calls=[called(n=n)]) for n in (right, "5", 5)]
    assert judged(*rows) == [(True, "correct", "")] + [(False, "wrong_type", "[0].arguments.n")] * 2


@pytest.mark.parametrize("live", ["", "live_"])
def test_where_no_function_fits_whatever_makes_no_call_is_right(live):
    asked = {"category": f"{live}irrelevance", "function": ..., "ground_truth": ...}
    made = bfcl(**asked), bfcl(**asked, calls=[])
    said = bfcl(**asked | {"calls": ...}, text="no <think>"), bfcl(**asked | {"calls": ...}, text=completion("{}"))
    wrong = (False, "unexpected_call", "[0]")
    assert judged(*made, *said) == [wrong, (True, "correct", ""), (True, "correct", ""), wrong]


@pytest.mark.parametrize("live", ["", "live_"])
def test_where_some_function_fits_any_call_is_right(live):
    asked = {"category": f"{live}relevance", "function": ..., "ground_truth": ...}
    rows = bfcl(**asked, calls=[{"g": {}}]), bfcl(**asked, calls=[]), bfcl(**asked | {"calls": ...}, text="no")
    assert judged(*rows) == [(True, "correct", ""), (False, "wrong_count", ""), (False, "no_think", "")]


def test_only_the_list_says_what_is_required():
    properties = {"city": {"type": "string"}, "days": {"type": "float", "required": True}}
    function = {"name": "f", "description": "", "parameters": {"type": "dict", "properties": properties, "required": ["city"]}}
    for each in (function, {"type": "function", "function": function}):
        assert judged(bfcl(function=[each])) == [(True, "correct", "")]
