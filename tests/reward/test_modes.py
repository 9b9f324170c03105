"""What a mode finds: the block whatever stands around it, accepted values, and BFCL's rules."""

from dataclasses import replace
from decimal import Decimal

import pytest

from toolrl.calls.jsontext import MAX_CHARS
from toolrl.calls.render import render_completion
from toolrl.reward.modes import BfclMode, PaperMode, StrictMode, only_block
from toolrl.types import AcceptedCall, Message, Prompt, Reason, Tool, ToolCall

SCHEMA = {"properties": {"city": {"type": "string"}, "size": {"type": "number", "x_type": "float"}}, "required": ["city"]}
TOOLS = (Tool("book", "", SCHEMA),)
PROMPT = Prompt("p", "test", (Message("user", "Book it."),), TOOLS, (ToolCall("book", {"city": "Paris"}),))
BLOCK = '<tool_call>[{"name": "book", "arguments": {"city": "Paris"}}]</tool_call>'
MODES = [StrictMode(), BfclMode(), PaperMode()]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (BLOCK, True),
        (f"<think></think>{BLOCK}", True),
        (f"{BLOCK}<think>x</think>", True),
        (f"x</think>{BLOCK}", True),
        (f"<think>x</think>Here: {BLOCK} Done.", True),
        (f"Well. <think>a<tool_call></think>{BLOCK}", True),  # a tag that the reasoning mentions
        (f"<think>x</think><think>y</think>{BLOCK}", True),
        (f"<think>{BLOCK}</think>", False),
        (f"<think>x{BLOCK}", False),
        (f"{BLOCK}{BLOCK}", False),
        (f"{BLOCK}<think>x</think><tool_call>[]</tool_call>", False),
        (f"<tool_call>oops</tool_call>{BLOCK}", False),
        (BLOCK.replace("</tool_call>", ""), False),
        (BLOCK.replace('[{"name"', '{"name"').replace("}}]", "}}"), False),  # no list
        (BLOCK.replace("Paris", "Rome"), False),
        ("<think>x</think>Paris is booked.", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("mode", MODES[:2])
def test_the_only_block_outside_the_reasoning_matches_whatever_stands_around_it(mode, text, match):
    found = mode.find(PROMPT, text)
    assert not found.form
    assert (found.match, found.names) == (match, match or "Rome" in text)


def test_tags_inside_a_value_are_part_of_it():
    call = ToolCall("book", {"city": "<think></tool_call><tool_call>"})
    text = f"Well: {render_completion([call], 'x')}"
    assert only_block(text) == (call,)
    assert StrictMode().find(replace(PROMPT, reference=(call,)), text).match


def test_a_block_is_looked_for_in_linear_time_and_within_the_cap():
    assert only_block("<think>" * 100_000) is None
    assert only_block("<tool_call>" * 90_000) is None
    assert only_block(f"{' ' * MAX_CHARS}{BLOCK}") is None


@pytest.mark.parametrize("mode", MODES)
def test_findings_of_what_is_right_are_all_right(mode):
    found = mode.find(PROMPT, render_completion(PROMPT.reference, "x"))
    assert (found.form, found.match, found.names, found.content, found.fault) == (True, True, True, True, None)


@pytest.mark.parametrize(
    ("no_call", "text", "match"),
    [
        ("either", "<tool_call>[]</tool_call>", True),
        ("list", "<tool_call>[]</tool_call>", True),
        ("text", "<tool_call>[]</tool_call>", False),
        ("either", "I cannot.", False),  # or else a copy of the prompt would match
        ("text", "<think>x</think>I cannot.", True),  # in the right form
        ("list", "<think>x</think>I cannot.", False),
    ],
)
def test_what_matches_an_empty_reference(no_call, text, match):
    for mode in (StrictMode(no_call), BfclMode(no_call)):
        assert mode.find(replace(PROMPT, reference=()), text).match == match


LISTED = replace(PROMPT, accepted=(AcceptedCall("book", {"city": ("Paris", "Paris, France"), "size": (Decimal("2.0"), "")}),))


def answered(mode, prompt, **arguments):
    return mode.find(prompt, render_completion([ToolCall("book", arguments)], "x"))


def test_strict_takes_any_accepted_value_by_strict_equality():
    strict = StrictMode()
    assert answered(strict, LISTED, city="Paris, France").fault is None
    assert answered(strict, PROMPT, city="Paris, France").fault is not None
    assert answered(strict, LISTED, city="Paris", size=2).fault is None
    wrong = answered(strict, LISTED, city="paris")
    assert (wrong.fault.reason, wrong.fault.path) == (Reason.WRONG_VALUE, "[0].arguments.city")
    assert wrong.fault.expected == 'one of "Paris", "Paris, France"'
    assert strict.find(LISTED, BLOCK.replace("Paris", "Paris, France")).content


def test_bfcl_forgives_what_its_checker_forgives_and_no_more():
    bfcl = BfclMode()
    assert answered(bfcl, LISTED, city="paris france", size=2).fault is None
    assert answered(bfcl, PROMPT, city="PARIS").fault is None
    assert answered(bfcl, PROMPT, city="Rome").fault.reason is Reason.WRONG_VALUE
    assert answered(bfcl, LISTED, city="Paris", size="2.0").fault.reason is Reason.WRONG_TYPE
    loose = bfcl.find(PROMPT, BLOCK.replace("Paris", "paris"))  # the form is the strict one
    assert (loose.form, loose.fault.reason, loose.content) == (False, Reason.NO_THINK, True)


def test_the_paper_compares_with_the_reference_alone():
    assert answered(PaperMode(), LISTED, city="Paris, France").fault is not None
