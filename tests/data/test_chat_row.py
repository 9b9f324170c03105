"""Prompts as rows of messages: whatever is written is read back as the same prompt."""

from decimal import Decimal
from itertools import islice

import pytest

from toolrl.data.chat import chat_prompt
from toolrl.data.chat_row import chat_row
from toolrl.data.jsontext import dumps, loads
from toolrl.data.rows import read_prompts_of
from toolrl.data.source import load_prompts
from toolrl.types import AcceptedCall, Message, Prompt, Tool, ToolCall

SCHEMA = {
    "type": "object",
    "x_type": "dict",
    "properties": {"size": {"type": "number", "x_type": "float", "default": Decimal("1.10")}, "type": {"enum": ["a", None]}},
    "required": ["size"],
}
WARM = ToolCall("warm", {"city": "Ås", "exact": Decimal("0.10"), "n": 12345678901234567890, "deep": [{"x": None}]})
USER = Message("user", "How warm?")
PROMPT = Prompt(
    id="r1#2",
    source="mine",
    messages=(
        Message("system", "Be brief.\n"),
        USER,
        Message("assistant", "I look.", (WARM, WARM)),
        Message("tool", '{"c": 21.50}'),
        Message("assistant", "21."),
        USER,
    ),
    tools=(Tool("warm", "Of a city.", SCHEMA), Tool("other", "", {})),
    reference=(WARM,),
    dialogue="opening-1",
)
LAST_CALLS = (USER, Message("assistant", "", (WARM,)))


def round_trip(prompt):
    return chat_prompt(loads(dumps(chat_row(prompt))), default_id="none", default_source="none")


@pytest.mark.parametrize(
    "prompt",
    [
        PROMPT,
        Prompt("a", "s", (USER,), (), (), "d"),
        Prompt("calls go on after calls", "s", LAST_CALLS, PROMPT.tools, (WARM,), "d"),
        Prompt("nothing is right after calls", "s", LAST_CALLS, PROMPT.tools, (), "d"),
        Prompt("several are right", "s", (USER,), PROMPT.tools, (WARM,), "d", (AcceptedCall("warm", {"city": ("Ås", ""), "n": (1, 2)}),)),
    ],
    ids=lambda prompt: prompt.id,
)
def test_a_prompt_comes_back_as_it_was(prompt):
    assert round_trip(prompt) == prompt
    assert str(round_trip(prompt)) == str(prompt), "types too: 1 is not 1.0"


def test_the_demos_prompts_come_back():
    prompts = load_prompts("demo://train?rows=200")
    assert list(map(round_trip, prompts)) == list(prompts)


@pytest.mark.parametrize("file", ["tool_calling/train.jsonl", "tool_calling/test.jsonl"])
def test_real_prompts_come_back(shared_data, file):
    path = shared_data / file
    prompts = [prompt for _, found in islice(read_prompts_of(path, skip_unreadable=True), 2000) for prompt in found]
    assert len(prompts) > 100
    assert all(round_trip(prompt) == prompt for prompt in prompts)
