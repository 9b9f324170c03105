import json
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.data.jsontext import dumps
from toolrl.data.labels import Fault, contradiction
from toolrl.data.readings import KINDS
from toolrl.data.repair import repaired
from toolrl.data.rows import read_rows
from toolrl.types import AcceptedCall, Message, Prompt, Tool, ToolCall


def schema(kind=None, **more):
    """The schema of one optional argument `a`."""
    return {"type": "object", "properties": {"a": ({} if kind is None else {"type": kind}) | more}}


def prompt(arguments, parameters, *, said="", accepted=()):
    return Prompt("p", "s", (Message("user", said),), (Tool("f", "", parameters),), (ToolCall("f", arguments),), accepted=accepted)


def mend(value, parameters, **more):
    """What becomes of argument `a`, and the kinds of repair."""
    fixed, made, _ = repaired(prompt({"a": value}, parameters, **more))
    return fixed.reference[0].arguments.get("a", "left out"), [repair.kind for repair in made]


@pytest.mark.parametrize(
    ("value", "parameters", "after", "kind"),
    [
        ("3", schema("integer"), 3, "quoted_number"),
        ("-3", schema("number"), -3, "quoted_number"),
        ("3.50", schema("number"), Decimal("3.50"), "quoted_number"),
        ("1e3", schema("number"), Decimal("1e3"), "quoted_number"),
        ("1.0", schema("integer"), 1, "quoted_number"),
        ("7", schema(["integer", "null"]), 7, "quoted_number"),
        ("7", schema(anyOf=[{"type": "integer"}, {"type": "null"}]), 7, "quoted_number"),
        ("true", schema("boolean"), True, "quoted_boolean"),
        ("False", schema("boolean"), False, "quoted_boolean"),
        ("[1, 2.0]", schema("array"), [1, Decimal("2.0")], "quoted_json"),
        ('{"x": []}', schema("object"), {"x": []}, "quoted_json"),
        ("[{'name': 'a', 'ok': True, 'n': 1.50}]", schema("array"), [{"name": "a", "ok": True, "n": Decimal("1.50")}], "quoted_json"),
        (Decimal("3.0"), schema("integer"), 3, "integral_fraction"),
        (Decimal("1E+3"), schema("integer"), 1000, "integral_fraction"),
        ([Decimal("2.0")], schema("array", items={"type": "integer"}), [2], "integral_fraction"),
        ("celsius ", schema("string", enum=["Celsius", "Kelvin"]), "Celsius", "choice_spelling"),
        ("new  york", schema(const="New York"), "New York", "choice_spelling"),
        (None, schema("string"), "left out", "null_left_out"),
        (None, schema("string", default=None), "left out", "null_left_out"),
        ("any", schema("integer", default="any"), "left out", "default_left_out"),
        ("any", schema("string", enum=["x"], default="any"), "left out", "default_left_out"),
        ("1", schema("integer", default="1"), 1, "quoted_number"),
        ({"x": None}, schema("object", properties={"x": {"type": "integer"}}), {}, "null_left_out"),
    ],
)
def test_a_value_that_can_mean_only_one_thing_is_mended(value, parameters, after, kind):
    fixed, kinds = mend(value, parameters)
    assert (repr(fixed), kinds) == (repr(after), [kind])


@pytest.mark.parametrize(
    "text", ["3 km", "", " 3", "0x3", "１", "1,000", "03", "+3", "3.", ".5", "1e999", "NaN", "Infinity", "9" * 700, "true", "three"]
)
@pytest.mark.parametrize("kind", ["number", "integer"])
def test_text_that_is_not_exactly_a_json_number_is_no_number(text, kind):
    assert mend(text, schema(kind)) == (text, [])


@pytest.mark.parametrize(
    ("value", "parameters"),
    [
        ("3.5", schema("integer")),
        (Decimal("3.5"), schema("integer")),
        (1, schema("boolean")),
        ("yes", schema("boolean")),
        ("[1, 2", schema("array")),
        ("[1]", schema("object")),
        ("[0.02] * 25", schema("array")),
        ("(1, 2)", schema("array")),
        ("{1, 2}", schema("array")),
        ("[f()]", schema("array")),
        ("1, 2", schema("array")),
        (True, schema("string")),
        (["a"], schema("string")),
        ("c", schema("string", enum=["C", "c "])),
        ("warm", schema("string", enum=["Warm up", "Cool"])),
        ("5", schema(anyOf=[{"type": "integer", "maximum": 3}, {"type": "boolean"}])),
        (None, schema("array", items={"type": "integer"}) | {"required": ["a"]}),
        ([None], schema("array", items={"type": "integer"})),
        ("any", schema("integer", default="none")),
        ("any", schema("integer", default="any") | {"required": ["a"]}),
    ],
)
def test_a_value_that_may_mean_several_things_stays(value, parameters):
    assert mend(value, parameters) == (value, [])


@pytest.mark.parametrize(
    ("value", "parameters"),
    [
        ("3", schema("string")),
        ("true", schema()),
        (None, schema("null")),
        (Decimal("3.0"), schema("number")),
        (Decimal("3.0"), schema(["integer", "number"])),
        ("[1]", schema(["string", "array"])),
    ],
)
def test_a_value_that_fits_is_never_touched(value, parameters):
    before = prompt({"a": value}, parameters)
    assert repaired(before) == (before, (), None)
    assert repaired(before).prompt is before


@pytest.mark.parametrize(
    ("number", "said", "after"),
    [
        (500, "send $500.", "500"),
        (Decimal("0.92"), "a score of 0.92, please", "0.92"),
        (500, "send 1,500", None),
        (500, "send 500.25", None),
        (500, "code A-500", None),
        (500, "from 500-600", None),
        (500, "five hundred", None),
        (-5, "it is -5 outside", "-5"),
        (5, "it is -5 outside", None),
    ],
)
def test_a_number_becomes_text_only_as_the_conversation_writes_it(number, said, after):
    assert mend(number, schema("string"), said=said) == ((after, ["number_as_text"]) if after else (number, []))


def test_faults_inside_lists_objects_and_quotes_are_mended_too():
    item = {"type": "object", "properties": {"n": {"type": "integer"}, "on": {"type": "boolean"}}}
    after, kinds = mend('[{"n": "1", "on": "true"}, {"n": "2"}]', schema("array", items=item))
    assert (after, Counter(kinds)) == ([{"n": 1, "on": True}, {"n": 2}], Counter(quoted_json=1, quoted_number=2, quoted_boolean=1))


def test_a_repair_says_where_and_from_what_to_what():
    assert [repair.detail for repair in repaired(prompt({"a": ["1"]}, schema("array", items={"type": "integer"})))[1]] == [
        '[0].arguments.a[0]: "1" -> 1'
    ]
    assert [repair.detail for repair in repaired(prompt({"a": None}, schema("integer")))[1]] == ["[0].arguments.a: null -> left out"]


def test_a_reference_is_mended_whole_or_not_at_all_and_what_is_left_is_named():
    parameters = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
    for calls, path in (([{"a": "1", "b": "many"}], "[0].arguments.b"), ([{"a": "1"}, {"b": "many"}], "[1].arguments.b")):
        before = replace(prompt({}, parameters), reference=tuple(ToolCall("f", each) for each in calls))
        after, made, fault = repaired(before)
        assert (after, made, fault.path) == (before, (), path)


def test_a_null_that_may_not_be_left_out_is_of_a_wrong_type():
    assert repaired(prompt({"a": None}, schema("integer") | {"required": ["a"]})).fault.fault == Fault.WRONG_TYPE
    inside = schema("object", properties={"x": {"type": "integer"}}, required=["x"])
    assert repaired(prompt({"a": {"x": None}}, inside)).fault.fault == Fault.WRONG_TYPE


def test_of_two_tools_of_one_name_the_one_that_fits_decides():
    text, number = Tool("f", "", schema("string")), Tool("f", "", schema("integer") | {"required": ["a"]})
    for arguments, after in (({"a": "1"}, {"a": "1"}), ({"a": None}, {})):
        fixed, _, _ = repaired(Prompt("p", "s", (), (number, text), (ToolCall("f", arguments),)))
        assert fixed.reference[0].arguments == after


def test_accepted_values_of_another_language_stay_as_its_checker_asks_for_them():
    accepted = (AcceptedCall("f", {"a": (5, None, "")}),)
    right = prompt({"a": "5L"}, {**schema("string", x_type="long"), "x_language": "java"}, said="of 5", accepted=accepted)
    assert repaired(right) == (right, (), None)


def test_calls_of_earlier_turns_read_as_they_do_as_the_labels_of_their_own_steps():
    def calling(*values):
        return Message("assistant", "", tuple(ToolCall("f", {"a": value}) for value in values))

    before = (Message("user", "x"), calling("1", Decimal("2.0")), calling("3 km", "4"), Message("tool", "9"), calling(5))
    right = replace(prompt({"a": 6}, schema("integer")), messages=before)
    fixed, made, fault = repaired(right)
    assert dumps([[call.arguments for call in turn.tool_calls] for turn in fixed.messages]) == dumps(
        [[], [{"a": 1}, {"a": 2}], [{"a": "3 km"}, {"a": "4"}], [], [{"a": 5}]]  # a turn is mended as a whole or not at all
    )
    assert (made, fault, fixed.reference) == ((), None, right.reference)  # counted where they are labels
    text = schema("string")
    said_later = replace(prompt({"a": "6"}, text), messages=(Message("user", "x"), calling(7), Message("user", "7")))
    assert repaired(said_later).prompt.messages == said_later.messages


def test_accepted_values_are_mended_one_by_one_and_none_stands_twice():
    accepted = (AcceptedCall("f", {"a": ("3", 3, "", None)}),)
    fixed, made, _ = repaired(prompt({"a": "3"}, schema("integer"), accepted=accepted))
    assert (fixed.reference[0].arguments, fixed.accepted[0].values) == ({"a": 3}, {"a": (3, "")})
    assert Counter(repair.kind for repair in made) == {"quoted_number": 2, "null_left_out": 1}


@pytest.mark.parametrize(("default", "after"), [(None, (3, None, "")), (3, (3, ""))])
def test_an_accepted_null_may_be_left_out_and_given_only_where_it_is_the_default(default, after):
    fixed, _, _ = repaired(prompt({"a": 3}, schema("integer", default=default), accepted=(AcceptedCall("f", {"a": (3, None)}),)))
    assert fixed.accepted[0].values == {"a": after}


TEXTS = st.sampled_from(["", "3", "3.5", "true", "A", "a ", "[1]", '{"n": "2"}'])
JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 99), st.decimals(-9, 9, places=1), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from("nm"), inner, max_size=2),
        st.lists(inner, max_size=2).map(dumps),
    ),
    max_leaves=5,
)
SCHEMAS = st.recursive(
    st.one_of(
        st.sampled_from([[], "integer", "number", "string", "boolean", "array", "object"]).map(lambda kind: {"type": kind} if kind else {}),
        st.just({"enum": ["A", "B", 3]}),
        st.just({"type": ["integer", "null"]}),
    ),
    lambda inner: st.one_of(
        st.builds(lambda items: {"type": "array", "items": items}, inner),
        st.builds(
            lambda n, required: {"type": "object", "properties": {"n": n}, "required": required}, inner, st.sampled_from([[], ["n"]])
        ),
        st.builds(lambda *branches: {"anyOf": list(branches)}, inner, inner),
    ),
    max_leaves=4,
)


@given(JSON_VALUES, SCHEMAS, st.sampled_from(["", "3 and 12 and 3.5"]))
def test_what_is_mended_fits_its_schema_and_mending_twice_is_mending_once(value, inside, said):
    before = prompt({"a": value}, {"type": "object", "properties": {"a": inside}}, said=said)
    after, made, fault = repaired(before)
    assert repaired(after) == (after, (), fault)
    assert (fault is None) == (contradiction(after.reference, after.tools) is None)
    assert {repair.kind for repair in made} <= set(KINDS)
    assert after is before or (made and fault is None)


CERTAIN = {"train": {"quoted_number": 124, "quoted_boolean": 2, "number_as_text": 3, "null_left_out": 1, "default_left_out": 1}}
CERTAIN["test"] = {"quoted_number": 12, "quoted_boolean": 1, "null_left_out": 1, "number_as_text": 1}


@pytest.mark.parametrize("part", ["train", "test"])
def test_real_labels_are_mended_only_where_a_flag_says_they_are_wrong(shared_data, part):
    path = shared_data / "tool_calling" / f"{part}.jsonl"
    with path.open() as lines:
        flags = {row["id"]: {flag.partition(":")[0] for flag in row["flags"]} for row in map(json.loads, lines)}
    kinds = Counter()
    for row in read_rows(path):
        after, made, _ = repaired(row)
        kinds.update({repair.kind for repair in made})
        assert not made or ("label_type_mismatch" in flags[row.id] and contradiction(after.reference, after.tools) is None)
    assert kinds == CERTAIN[part]
