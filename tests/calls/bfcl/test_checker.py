"""BFCL's rules on whole calls: names, counts, arguments given and left out, order, and that no input raises."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.calls.bfcl import explain_bfcl
from toolrl.types import AcceptedCall, Reason, Tool, ToolCall

WORDS = {"string": "string", "integer": "integer", "float": "number", "boolean": "boolean", "array": "array", "dict": "object"}


def tool(name="f", required=(), language=None, **types):
    """A tool whose arguments have BFCL's type words, as the readers of its files make it."""
    properties = {key: {"type": WORDS.get(word, "string"), "x_type": word} for key, word in types.items()}
    parameters = {"type": "object", "x_type": "dict", "properties": properties, "required": list(required)}
    return Tool(name, "", parameters | ({"x_language": language} if language else {}))


def fault(calls, accepted, *tools):
    """The fault of calls (name, arguments) where those of (name, accepted values) are right."""
    found = explain_bfcl(
        [ToolCall(name, arguments) for name, arguments in calls],
        [AcceptedCall(name, {key: tuple(answers) for key, answers in values.items()}) for name, values in accepted],
        tools,
    )
    return found and (found.reason, found.path, found.expected, found.got)


CITY = tool(required=["city"], city="string", unit="string", days="integer")
WEATHER = [("f", {"city": ["Paris", "Paris, France"], "unit": ["", "metric"], "days": [3]})]


def test_each_argument_may_have_any_of_its_values():
    for city in ("Paris", "paris FRANCE"):
        assert fault([("f", {"city": city, "days": 3})], WEATHER, CITY) is None
    assert fault([("f", {"city": "Lyon", "days": 3})], WEATHER, CITY) == (
        Reason.WRONG_VALUE,
        "[0].arguments.city",
        'one of "Paris", "Paris, France"',
        '"Lyon"',
    )


def test_the_name_is_exact():
    assert fault([("F", {"city": "Paris", "days": 3})], WEATHER, CITY) == (Reason.WRONG_NAME, "[0].name", '"f"', '"F"')


def test_an_argument_may_be_left_out_only_where_the_empty_text_is_accepted():
    assert fault([("f", {"city": "Paris", "days": 3, "unit": "metric"})], WEATHER, CITY) is None
    assert fault([("f", {"city": "Paris"})], WEATHER, CITY) == (Reason.MISSING_ARGUMENT, "[0].arguments.days", "3", "")
    assert fault([("f", {"days": 3})], WEATHER, CITY)[:2] == (Reason.MISSING_ARGUMENT, "[0].arguments.city")


def test_a_required_argument_is_given_even_where_the_empty_text_is_accepted():
    assert fault([("f", {})], [("f", {"city": ["", "Paris"]})], tool(required=["city"], city="string"))[0] is Reason.MISSING_ARGUMENT


def test_an_argument_must_be_in_the_schema_and_among_the_accepted():
    path = (Reason.UNEXPECTED_ARGUMENT, "[0].arguments.x", "", "1")
    assert fault([("f", {"x": 1})], [("f", {})], tool(x="integer")) == path
    assert fault([("f", {"x": 1})], [("f", {"x": [1]})], tool()) == path
    assert fault([("f", {"x": 1})], [("f", {"x": [1]})], tool(x="integer")) is None
    assert fault([("f", {"x": 1})], [("f", {"x": [1]})]) == path  # a tool that is not on offer has no schema


def test_an_argument_for_which_nothing_is_accepted_can_only_be_missing():
    assert fault([("f", {"x": 1})], [("f", {"x": []})], tool(x="integer")) == (Reason.WRONG_VALUE, "[0].arguments.x", "nothing", "1")
    assert fault([("f", {})], [("f", {"x": []})], tool(x="integer"))[0] is Reason.MISSING_ARGUMENT


def test_the_number_of_calls_is_exact():
    call, right = ("f", {"x": 1}), ("f", {"x": [1]})
    assert fault([], [right], tool(x="integer")) == (Reason.WRONG_COUNT, "reference[0]", "1 call", "0 calls")
    assert fault([call, call], [right], tool(x="integer")) == (Reason.WRONG_COUNT, "[1]", "1 call", "2 calls")
    assert fault([call], [], tool(x="integer")) == (Reason.UNEXPECTED_CALL, "[0]", "no call", '"f"')
    assert fault([], []) is None


def test_order_never_matters_where_the_benchmark_takes_the_first_that_fits():
    accepted = [("f", {"x": ["a", "b"]}), ("f", {"x": ["a"]})]  # `a` first would leave nothing to the second
    for calls in ([("f", {"x": "a"}), ("f", {"x": "b"})], [("f", {"x": "b"}), ("f", {"x": "a"})]):
        assert fault(calls, accepted, tool(x="string")) is None
    assert fault([("f", {"x": "b"}), ("f", {"x": "b"})], accepted, tool(x="string"))[0] is Reason.WRONG_VALUE


def test_an_integer_for_a_float_is_its_float_and_too_large_a_one_is_no_value():
    number = tool(x="float")
    assert fault([("f", {"x": 5})], [("f", {"x": [5.0]})], number) is None
    assert fault([("f", {"x": 10**400})], [("f", {"x": [5.0]})], number)[0] is Reason.WRONG_VALUE
    assert fault([("f", {"x": Decimal("0.1")})], [("f", {"x": [0.1]})], number) is None
    assert fault([("f", {"x": 0.1})], [("f", {"x": [Decimal("0.1")]})], number) is None
    assert fault([("f", {"x": [5]})], [("f", {"x": [[5.0]]})], tool(x="array")) is None  # a list of any numbers, by value
    integer = tool(x="integer")
    assert fault([("f", {"x": Decimal("5.0")})], [("f", {"x": [5]})], integer)[0] is Reason.WRONG_TYPE


def test_values_of_another_language_are_text_with_a_literal():
    java = tool(language="java", x="long", y="any")
    accepted = [("f", {"x": [250], "y": ["monitor"]})]
    assert fault([("f", {"x": "250L", "y": "monitor"})], accepted, java) is None
    assert fault([("f", {"x": "250", "y": "monitor"})], accepted, java) == (Reason.WRONG_TYPE, "[0].arguments.x", "250", '"250"')
    assert fault([("f", {"x": 250, "y": "monitor"})], accepted, java) == (
        Reason.WRONG_TYPE,
        "[0].arguments.x",
        "a Java long as text",
        "250",
    )
    script = tool(language="javascript", x="Bigint", y="dict")
    accepted = [("f", {"x": [250], "y": [{"k": [1, 2]}]})]
    assert fault([("f", {"x": "250n", "y": "{k: 2}"})], accepted, script) is None
    assert fault([("f", {"x": "250n", "y": "{k: 3}"})], accepted, script) == (
        Reason.WRONG_VALUE,
        "[0].arguments.y.k",
        "one of 1, 2",
        "3",
    )


def test_a_type_that_the_language_does_not_read_is_any():
    assert fault([("f", {"x": "q"})], [("f", {"x": ["q"]})], tool(language="java", x="Queue")) is None


def test_an_integer_of_too_many_digits_in_a_literal_is_no_value():
    found = fault([("f", {"x": "9" * 5000})], [("f", {"x": [9]})], tool(language="java", x="integer"))
    assert found[0] is Reason.WRONG_VALUE


def test_what_nests_too_deep_is_no_value():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert fault([("f", {"x": deep})], [("f", {"x": [[1]]})], tool(x="array"))[0] is Reason.WRONG_VALUE


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.decimals(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=6,
)
SCHEMAS = VALUES | st.fixed_dictionaries(
    {}, optional={"type": VALUES | st.sampled_from([*WORDS, "HashMap", "ArrayList", "array"]), "x_type": VALUES, "items": VALUES}
)


@given(
    arguments=st.dictionaries(st.sampled_from("pq"), VALUES, max_size=2),
    answers=st.dictionaries(st.sampled_from("pq"), st.lists(VALUES, max_size=3).map(tuple), max_size=2),
    properties=st.dictionaries(st.sampled_from("pq"), SCHEMAS, max_size=2) | VALUES,
    required=VALUES,
    language=st.sampled_from(["java", "javascript", None, 1]),
)
def test_no_value_answer_or_schema_raises(arguments, answers, properties, required, language):
    parameters = {"properties": properties, "required": required, "x_language": language}
    explain_bfcl([ToolCall("f", arguments)], [AcceptedCall("f", answers)], [Tool("f", "", parameters)])


@pytest.mark.parametrize("extra", [{}, {"type": "dict"}])
def test_the_word_of_the_origin_comes_before_that_of_json_schema(extra):
    parameters = {"properties": {"x": {"type": "array", "x_type": "tuple", "items": {"type": "number", "x_type": "float"}}}} | extra
    tools = [Tool("f", "", parameters)]
    assert explain_bfcl([ToolCall("f", {"x": [1.5]})], [AcceptedCall("f", {"x": ([1.5],)})], tools) is None
    assert explain_bfcl([ToolCall("f", {"x": ["1.5"]})], [AcceptedCall("f", {"x": ([1.5],)})], tools).reason is Reason.WRONG_TYPE
