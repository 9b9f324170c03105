"""The values of every reward function, worked by hand."""

import pytest

from toolrl.config.task import REWARD_FUNCTIONS
from toolrl.reward.functions import FUNCTIONS
from toolrl.reward.verifier import make_verifier
from toolrl.types import Message, Prompt, Tool, ToolCall

PROMPT = Prompt("p", "test", (Message("user", "Paris?"),), (Tool("weather", "", {}),), (ToolCall("weather", {"city": "Paris"}),))
THINK = "<think>They ask for Paris.</think>"
RIGHT = '<tool_call>[{"name": "weather", "arguments": {"city": "Paris"}}]</tool_call>'
OTHER_VALUE, OTHER_NAME = RIGHT.replace("Paris", "Rome"), RIGHT.replace("weather", "news")
UNREADABLE, MALFORMED = "<tool_call>[{</tool_call>", '<tool_call>[{"name": "weather"}]</tool_call>'

COMPLETIONS = {
    "right": THINK + RIGHT,
    "right, no tags": RIGHT,
    "other value": THINK + OTHER_VALUE,
    "other name": THINK + OTHER_NAME,
    "other value, no tags": OTHER_VALUE,
    "other name, no tags": OTHER_NAME,
    "unreadable": THINK + UNREADABLE,
    "malformed": THINK + MALFORMED,
    "nothing": "",
}
TABLE = {  # function: the value of each of these, in order
    "binary":         (1.0, 0.0,  0.0,  0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "no_think":       (1.0, 1.0,  0.0,  0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "partial_format": (1.0, 0.8,  0.2,  0.2, 0.0, 0.0, 0.0, 0.0, 0.0),
    "partial_names":  (1.0, 0.8,  0.4,  0.2, 0.2, 0.0, 0.0, 0.0, 0.0),
    "lexicographic":  (1.2, 1.0, -0.2, -0.2, 0.0, 0.0, 0.0, 0.0, 0.0),
    "format":         (1.0, 0.0,  1.0,  1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "match":          (1.0, 1.0,  0.0,  0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "names":          (1.0, 1.0,  1.0,  0.0, 1.0, 0.0, 0.0, 0.0, 0.0),
}  # fmt: skip


@pytest.mark.parametrize("mode", ["paper", "strict", "bfcl"])
@pytest.mark.parametrize("function", TABLE)
def test_every_cell(mode, function):
    if mode == "bfcl":
        schema = {"properties": {"city": {"type": "string"}}, "required": ["city"]}
        prompt = Prompt("p", "test", PROMPT.messages, (Tool("weather", "", schema), Tool("news", "", schema)), PROMPT.reference)
    else:
        prompt = PROMPT
    verifier = make_verifier(mode, functions={function: 1.0})
    values = tuple(verifier(prompt, text).reward for text in COMPLETIONS.values())
    assert values == pytest.approx(TABLE[function], abs=1e-15)


def test_the_functions_are_those_that_the_settings_name():
    assert tuple(FUNCTIONS) == REWARD_FUNCTIONS == tuple(TABLE)


@pytest.mark.parametrize(
    ("text", "form", "names"),
    [  # what the paper's rules take for the right form: both tags somewhere, and a last block of well-formed calls
        (f"{RIGHT}</think><think>", 1.0, 1.0),
        (f"<think></think>{RIGHT}", 1.0, 1.0),
        (f"<think>{RIGHT}</think>", 1.0, 1.0),
        (f"{THINK}Here you are: {UNREADABLE}{RIGHT}!", 1.0, 1.0),
        (f"<think>x{RIGHT}", 0.0, 1.0),
        (f"x</think>{RIGHT}", 0.0, 1.0),
        (f"{THINK}<|im_start|>assistant\n{RIGHT}", 0.0, 1.0),
        (f"{THINK}{RIGHT}{UNREADABLE}", 0.0, 0.0),
        (f'{THINK}<tool_call>{{"name": "weather", "arguments": {{"city": "Rome"}}}}</tool_call>', 1.0, 1.0),
        (f'{THINK}<tool_call>[{{"name": ["weather"], "arguments": 5}}]</tool_call>', 1.0, 0.0),
    ],
)
def test_what_form_and_names_are_under_the_paper(text, form, names):
    assert make_verifier("paper", functions={"format": 1.0})(PROMPT, text).reward == form
    assert make_verifier("paper", functions={"names": 1.0})(PROMPT, text).reward == names


def test_names_are_a_multiset():
    names = make_verifier("strict", functions={"names": 1.0})
    f, g = ToolCall("f", {}), ToolCall("g", {})
    prompt = Prompt("p", "test", (), (), (f, g, f))
    listed = '[{{"name": "{}", "arguments": {{"x": 1}}}}, {{"name": "{}", "arguments": {{}}}}, {{"name": "{}", "arguments": {{}}}}]'
    for three, right in (("ffg", 1.0), ("gff", 1.0), ("fgg", 0.0)):
        assert names(prompt, f"{THINK}<tool_call>{listed.format(*three)}</tool_call>").reward == right
