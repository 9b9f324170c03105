"""What a server makes of a completion: reasoning, content and calls, the same however the text arrives."""

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.calls.parse import Calls, parse
from toolrl.calls.render import render_calls, render_completion
from toolrl.reward.modes import only_block
from toolrl.serving.reading import Answer, Thought, read_answer, read_thought
from toolrl.types import ToolCall

A, B = ToolCall("a", {"n": Decimal("1.10"), "big": 2**70}), ToolCall("b", {"text": "</tool_call> </think>"})
BLOCK = render_calls([A])


def read(text):
    reasoning, rest = read_thought(text)
    return reasoning, *read_answer(rest)


@pytest.mark.parametrize(
    ("text", "reasoning", "content", "calls"),
    [
        (render_completion([A, B], "Two are asked."), "\nTwo are asked.\n", "", (A, B)),
        (f" \n<think>x</think>{BLOCK} \n", "x", "", (A,)),
        ("<think>x</think>\n<tool_call>\n[]\n</tool_call>", "x", "", ()),
        ("<think>x</think>\n\nIt is warm. \n", "x", "It is warm. \n", ()),
        (BLOCK, "", "", (A,)),
        ("It is <b>warm</b> <tool", "", "It is <b>warm</b> <tool", ()),
        ("<think>so I thou", "so I thou", "", ()),
        ("<think>so I thought</thi", "so I thought</thi", "", ()),
        ("<think><think>x</think>y", "<think>x", "y", ()),
        (" <thin", "", "<thin", ()),
        ("", "", "", ()),
        (f"<think>x</think>Sure.\n{BLOCK}\n Done.", "x", "Sure.\n\n Done.", (A,)),
        (f"<think>x</think>\n{BLOCK}\n Done.", "x", "Done.", (A,)),
        (f"<think>x</think>Sure.\n{BLOCK}\n", "x", "Sure.\n", (A,)),
        # Broken, doubled or cut short: content, whole.
        (f"<think>x</think>\n{BLOCK}\n{BLOCK}", "x", f"{BLOCK}\n{BLOCK}", ()),
        (f"<think>x</think>{BLOCK[:-3]}", "x", BLOCK[:-3], ()),
        (
            '<think>x</think><tool_call>[{"name": "a", "arguments": {}}, {"name": 1}]</tool_call>',
            "x",
            '<tool_call>[{"name": "a", "arguments": {}}, {"name": 1}]</tool_call>',
            (),
        ),
        (f"Hm <think>maybe {BLOCK}</think>{BLOCK}!", "", f"Hm <think>maybe {BLOCK}</think>!", (A,)),
        (f"Hm <think>maybe {BLOCK}", "", f"Hm <think>maybe {BLOCK}", ()),
    ],
)
def test_a_completion_is_parted_into_reasoning_content_and_calls(text, reasoning, content, calls):
    assert read(text) == (reasoning, content, calls)


PIECES = [
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "[]",
    BLOCK,
    '[{"name": "a", "arguments": {"x": 1}}]',
    "x",
    " ",
    "\n",
    "<",
    "</t",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(max_size=20)


def streamed(text, cuts):
    """What comes piece by piece, concatenated; as vLLM's own loop hands one reader's rest to the next."""
    thought, answer, reasoning, content = Thought(), Answer(), "", ""
    places = sorted({cut % (len(text) + 1) for cut in cuts} | {0, len(text)})
    for start, end in pairwise(places):
        more, rest = thought.feed(text[start:end])
        reasoning += more
        content += answer.feed(rest) if thought.ended else ""
    more, rest = thought.finish()
    content += answer.feed(rest)
    end, calls = answer.finish()
    return reasoning + more, content + end, calls


@given(TEXTS, st.lists(st.integers(0, 1000), max_size=30))
def test_any_pieces_of_any_text_say_what_the_whole_says(text, cuts):
    assert streamed(text, cuts) == read(text)


@given(TEXTS)
def test_the_calls_are_those_that_evaluation_and_the_verifier_read(text):
    calls = read(text)[2]
    assert calls == (only_block(text) or ())
    if isinstance(parsed := parse(text), Calls):
        assert calls == parsed.calls


@given(TEXTS)
def test_without_a_sound_block_nothing_is_lost_but_white_space_and_the_tags_of_the_reasoning(text):
    if only_block(text) is None:
        reasoning, content, _ = read(text)
        kept = text.replace("<think>", "", 1).replace("</think>", "", 1) if text.lstrip().startswith("<think>") else text
        assert "".join((reasoning + content).split()) == "".join(kept.split())


def test_reasoning_and_content_are_given_as_they_grow():
    thought = Thought()
    assert [thought.feed(piece)[0] for piece in ("<th", "ink>It", " asks", ".</", "thin", "ly </think", "> x")] == [
        *("", "It", " asks", ".", "", "</thinly ", "")
    ]
    answer = Answer()
    assert [answer.feed(piece) for piece in ("\n", " It", " is <to", "o> warm", "<tool_call>", "[]")] == [
        "",
        "It",
        " is ",
        "<too> warm",
        "",
        "",
    ]


def test_a_long_text_in_single_characters_takes_no_time():
    thought, answer = Thought(), Answer()
    thought.feed("<think>")
    for _ in range(100_000):
        thought.feed("<")
        answer.feed("x")
    answer.feed("<tool_call>")
    for _ in range(100_000):
        answer.feed("[")
    assert answer.finish() == ("<tool_call>" + "[" * 100_000, ())
