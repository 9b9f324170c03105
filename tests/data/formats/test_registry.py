import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolrl.data.formats.registry import FORMATS, find_format, format_of
from toolrl.data.steps import Origin, steps
from toolrl.errors import ConfigError, DataError, UserError

DROP = object()
TOOL = {
    "name": "f",
    "description": "d",
    "parameters": {"type": "dict", "properties": {"a": {"type": "List[int]", "required": True}}, "required": ["a"]},
}
FLAT = {"name": "f", "description": "d", "parameters": {"a": {"type": "int, optional", "description": "d", "default": 1}}}
CALL = {"name": "f", "arguments": {"a": 1}}
SPOKEN = [{"from": "user", "value": "x"}, {"from": "gpt", "value": "y"}, {"from": "function_call", "value": '{"name": "f"}'}]
MESSAGES = [
    {"role": "user", "content": "x"},
    {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": CALL}]},
    {"role": "tool", "content": {"t": 1}},
]
ROWS = {
    "chat": {"id": "i", "source": "s", "dialogue": "d", "messages": MESSAGES, "tools": [{"type": "function", "function": TOOL}],
             "answer": [CALL]},
    "xlam": {"id": 1, "query": "x", "answers": [CALL], "tools": [FLAT]},
    "bfcl": {"id": "java_1", "question": [MESSAGES[:1]], "function": [TOOL], "ground_truth": [{"f": {"a": [[{"b": [1, ""]}], ""]}}]},
    "hermes": {"id": "i", "system": "<tools>[]</tools>", "conversations": SPOKEN, "tools": [TOOL], "source": "s"},
    "toolace": {"id": "i", "system": '[{"name": "f", "parameters": null}]',
                "conversations": [*SPOKEN[:1], {"from": "gpt", "value": "[f(a=1)]"}]},
    "toolrl": {
        "prompt": [{"role": "system", "content": "1. Name: f\nDescription: d\nParameters: {}"},
                   {"role": "user", "content": "<user>x</user>"}],
        "reward_model": {"ground_truth": '<tool_call>{"name": "f"}</tool_call>'},
    },
}  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2)
    | st.sampled_from(["", "x", "[", "{", "[null]", "java_1", "type", "[f(a={1})]", "<tools>{", "<think>"]),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["name", "a", "type", "required", "properties"]), inner, max_size=2),
    max_leaves=5,
)  # fmt: skip


def places(value, path=()):
    """The path of every value inside."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*path, key))


def changed(value, path, new):
    """The value with another at a path, or without it."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    if new is DROP and len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = changed(copy[path[0]], path[1:], new)
    return copy


@settings(max_examples=400)
@given(st.data(), st.sampled_from(sorted(FORMATS)))
def test_a_row_that_is_damaged_anywhere_gives_prompts_or_an_error_that_says_what_is_wrong(data, name):
    row = ROWS[name]
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from([path for path in places(row) if path]))
        row = changed(row, path, data.draw(st.just(DROP) | VALUES)) if path else row
    try:
        prompts = steps(FORMATS[name].read(row, Origin("i", "s")))
    except UserError:
        return
    assert all(prompt.id and prompt.messages for prompt in prompts)
    assert all(isinstance(tool.parameters, dict) for prompt in prompts for tool in prompt.tools)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_whole_row_of_every_format_is_read(name):
    assert format_of(ROWS[name]) is FORMATS[name]
    assert steps(FORMATS[name].read(ROWS[name], Origin("i", "s")))[-1].reference


@pytest.mark.parametrize("row", [{}, {"a": 1}, [], None, "x", 3])
def test_a_row_of_no_format_says_which_there_are(row):
    with pytest.raises(DataError, match="expected a row in one of the formats chat, xlam, bfcl, hermes, toolace, toolrl, got"):
        format_of(row)


def test_a_format_is_found_by_its_name():
    assert find_format("auto") is None
    assert find_format("xlam") is FORMATS["xlam"]
    with pytest.raises(ConfigError, match="got 'xLAM'; name one of auto, chat"):
        find_format("xLAM")
