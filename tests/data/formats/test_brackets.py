import time
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.data.formats.brackets import parse_calls
from toolrl.data.rows import read_rows
from toolrl.errors import DataError
from toolrl.types import Tool, ToolCall


def tool(name, **arguments):
    return Tool(name, "", {"type": "object", "properties": {key: {"type": kind} for key, kind in arguments.items()}})


WEATHER = tool("Get Weather", city="string", days="integer")
ODD = Tool("Odd, (v2) [x]=", "", {"type": "object", "properties": {"a=b": {}, "filter[name]": {}}})
TOOLS = (WEATHER, ODD)


def call(name, **arguments):
    return ToolCall(name, arguments)


def test_the_calls_of_a_turn_keep_their_order():
    text = '[Get Weather(city="Paris (France)", days=3), other.fn(x=[1,2])]'
    assert parse_calls(text) == (call("Get Weather", city="Paris (France)", days=3), call("other.fn", x=[1, 2]))


@pytest.mark.parametrize(
    ("name", "text", "calls"),
    [
        ("a value that holds a closing bracket", '[f(a="x) and (y", b=2)]', [call("f", a="x) and (y", b=2)]),
        ("escaped quotes around a comma", r'[f(a="say \"a, b\", now", b=\'it\'s\', c=1)]'.replace(r"\'it\'s\'", r"'it\'s'"),
         [call("f", a='say "a, b", now', b="it's", c=1)]),
        ("words of JSON", "[f(a=true, b=false, c=null)]", [call("f", a=True, b=False, c=None)]),
        ("a slash in a name", "[Movies/Search v2(q='x'), a/b/c()]", [call("Movies/Search v2", q="x"), call("a/b/c")]),
        ("positional arguments", '[Get Weather("Paris", 3)]', [call("Get Weather", city="Paris", days=3)]),
        ("positional and named ones", '[Get Weather("Paris", days=3)]', [call("Get Weather", city="Paris", days=3)]),
    ],
)  # fmt: skip
def test_defects_of_the_release_are_not_repeated(name, text, calls):
    assert parse_calls(text, TOOLS) == tuple(calls)


@pytest.mark.parametrize("value", ["{1, 2}", "{'a'}", "b'bytes'", "set()", "datetime(2024, 1, 1)", "1+2", "x if y else z", "*a", "f'{x}'"])
def test_what_the_release_crashes_on_or_python_would_compute_is_an_error_with_its_place(value):
    with pytest.raises(DataError, match=r"^character \d+: "):
        parse_calls(f"[f(a={value})]")


@pytest.mark.parametrize(
    "name", ["Get Weather", "other.fn", "a-b", "what?", "天气 查询", "Größe!", "f1", "1st", "a:b", "x & y", "v2.0/find-all?"]
)
def test_a_name_may_hold_what_the_grammar_does_not_need(name):
    assert parse_calls(f"[ {name} (a=1)]") == (call(name, a=1),)


def test_names_that_the_grammar_does_need_are_known_from_the_tools():
    text = "[Odd, (v2) [x]=(a=b=1, filter[name]='x')]"
    assert parse_calls(text, TOOLS) == (ToolCall("Odd, (v2) [x]=", {"a=b": 1, "filter[name]": "x"}),)
    with pytest.raises(DataError):
        parse_calls(text)


def test_of_two_names_the_longer_is_meant():
    tools = (tool("get"), tool("get(x)"))
    assert parse_calls("[get(x)(a=1), get(x=1)]", tools) == (call("get(x)", a=1), call("get", x=1))


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("f( )", {}), ("f(a=1,)", {"a": 1}), ("f(\n a = 1 ,\n\tb= 'x'\n)", {"a": 1, "b": "x"}),
        ("f(from='x', class=1)", {"from": "x", "class": 1}),
        ("f(user-id=-1.50)", {"user-id": Decimal("-1.50")}), ("f($top=1e3)", {"$top": Decimal("1e3")}),
        ("f(stadt_größe=1)", {"stadt_größe": 1}),
        ("f(a=[{'b': (1, [2])}], c={})", {"a": [{"b": [1, [2]]}], "c": {}}), ("f(a='[g(x=1)]')", {"a": "[g(x=1)]"}),
        ("f(url='https://x.y/?a=1&b=(2)')", {"url": "https://x.y/?a=1&b=(2)"}), ("f(a='=', b='==')", {"a": "=", "b": "=="}),
    ],
)  # fmt: skip
def test_arguments_are_read_by_the_grammar(text, arguments):
    assert parse_calls(f"[{text}]") == (ToolCall("f", arguments),)


@pytest.mark.parametrize(
    "text",
    ["", "  ", "It is 21 degrees.", "[]", " [ ] ", "[1] The source says so.", "[a link](https://x.y)", "Use f(x=1) then.", "[x"],
)
def test_a_turn_without_a_list_of_calls_makes_none(text):
    assert parse_calls(text, TOOLS) == ()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('Sure: [Get Weather(city="Paris")]', "character 6: expected a list of calls and nothing else"),
        ('Get Weather(city="Paris")', "character 0: expected a list of calls and nothing else"),
        ('[note] [Get Weather(city="Paris")]', "character 7: expected a list of calls"),
        ('[Get Weather(city="Paris")] Done.', "character 28: expected nothing after the list"),
        ("[] and so on", "expected nothing after the list"),
        ('[{"name": "f", "arguments": {}}]', "character 1: expected the name of a function"),
        ("[f(a=1)", "got the end"), ("[f(a=1]", "expected ','"), ("[f(a=)]", "expected a value"), ("[f(a==1)]", "got 'a==1)]'"),
        ("[f(a=1, a=2)]", "the argument 'a' stands twice"), ("[f(a=1) g(b=1)]", "expected ','"), ("[(a=1)]", "the name of a function"),
        ("[7(a=1)]", "the name of a function"), ("[f(a=1)(b=2)]", "expected ','"), ("[f(a=Paris)]", "text must stand in quotes"),
    ],
)  # fmt: skip
def test_what_may_be_a_call_and_cannot_be_read_is_never_taken_for_a_plain_answer(text, what):
    with pytest.raises(DataError) as caught:
        parse_calls(text, TOOLS)
    assert what in str(caught.value)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[unknown(1)]", "not exactly one tool of this name"),
        ('[Get Weather("Paris", 3, 4)]', "3 positional arguments, and the tool has 2"),
        ("[Get Weather(3)]", "3 stands where the tool has 'city', which is of type string"),
        ('[Get Weather("Paris", true)]', "True stands where the tool has 'days'"),
        ('[Get Weather("Paris", city="Oslo")]', "'city' is given by its place and by its name"),
        ('[Get Weather(days=3, "Paris")]', "expected name=value after a named argument"),
    ],
)
def test_a_positional_argument_whose_name_is_not_certain_is_an_error(text, what):
    with pytest.raises(DataError) as caught:
        parse_calls(text, TOOLS)
    assert what in str(caught.value)


def test_two_tools_of_one_name_leave_a_positional_argument_uncertain():
    with pytest.raises(DataError, match="not exactly one tool"):
        parse_calls('[Get Weather("Paris")]', (WEATHER, WEATHER))


NAMES = st.from_regex(r"[A-Za-z天é][A-Za-z0-9 ./?_天é-]{0,12}[A-Za-z0-9?]", fullmatch=True)
KEYS = st.from_regex(r"[A-Za-z_$天][A-Za-z0-9_.$天-]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.text("()[]{}'\",=\\ \n#:", max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False, places=3) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
CALLS = st.lists(st.builds(ToolCall, NAMES, st.dictionaries(KEYS, VALUES, max_size=4)), min_size=1, max_size=4)


def written(value, words):
    """A value in Python's syntax, or with the words of JSON."""
    if isinstance(value, str):
        return repr(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {written(item, words)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(written(item, words) for item in value) + "]"
    return words.get(str(value), str(value))


@given(CALLS, st.sampled_from([{}, {"True": "true", "False": "false", "None": "null"}]))
def test_calls_that_are_written_are_read_back(calls, words):
    arguments = [", ".join(f"{key}={written(value, words)}" for key, value in call.arguments.items()) for call in calls]
    text = "[" + ", ".join(f"{call.name}({inside})" for call, inside in zip(calls, arguments, strict=True)) + "]"
    assert parse_calls(text) == tuple(calls)


@given(st.text() | st.text("[](){}'\",:=\\ab01.- \n", max_size=80), st.booleans())
def test_any_text_gives_calls_none_or_an_error(text, known):
    for each in (text, f"[{text}", f"[f({text}", f"[f(a={text})]"):
        try:
            calls = parse_calls(each, TOOLS if known else ())
        except DataError:
            continue
        assert all(isinstance(found, ToolCall) and found.name for found in calls)


@pytest.mark.parametrize(
    "text",
    ["[" * 500_000, "[f(" * 150_000, "[f(a=" + "[" * 500_000, "[f(a='" + "\\" * 500_000, "[Get Weather" + " " * 500_000,
     "[f(" + "a " * 250_000,
     "[f(a=" + "1" * 500_000 + ")]", "[f(a=" + "'x' " * 120_000, "[f(a=1), " * 100_000, "Get Weather " * 80_000, "[ Get Weather " * 70_000],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_the_worst_texts_take_no_longer_than_their_length(text):
    start = time.process_time()
    with suppress(DataError):
        parse_calls(text, TOOLS)
    assert time.process_time() - start < 3


def test_a_turn_over_the_limit_is_refused():
    with pytest.raises(DataError, match="a turn of 1,048,577 characters"):
        parse_calls("x" * (2**20 + 1))


def test_real_references_come_back_from_brackets(shared_data):
    damaged = set("\"'()[]{},=")  # names that a converter cut out of its own strings
    for prompt in read_rows(shared_data / "tool_calling" / "train.jsonl"):
        offered = {tool.name for tool in prompt.tools}
        whole = (call for call in prompt.reference if call.name in offered or not damaged & set(call.name))
        calls = [call for call in whole if not damaged & set("".join(call.arguments))]
        text = ", ".join(f"{c.name}({', '.join(f'{key}={written(value, {})}' for key, value in c.arguments.items())})" for c in calls)
        assert parse_calls(f"[{text}]", prompt.tools) == tuple(calls), prompt.id
