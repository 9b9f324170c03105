import json
from decimal import Decimal

import pytest

from toolrl.calls.bfcl import explain_bfcl
from toolrl.data.rows import read_prompts_of
from toolrl.errors import DataError, UserError
from toolrl.types import AcceptedCall, Message, ToolCall

TOOL = {
    "name": "area.of",
    "description": "Area.",
    "parameters": {
        "type": "dict",
        "properties": {"base": {"type": "float"}, "unit": {"type": "string"}, "more": {"type": "dict"}, "rows": {"type": "array"}},
        "required": ["base"],
    },
}
TRUTH = [
    {"area.of": {"base": [1.50, 2], "unit": ["", "cm"], "more": [{"a": ["x", "y"], "b": ["", 3], "c": [""]}], "rows": [[{"k": [1]}, 2]]}},
    {"area.of": {"base": [3], "unit": [""]}},
]
ITEMS = {  # items of each category in BFCL v4
    "simple_python": 400, "simple_java": 100, "simple_javascript": 50, "multiple": 200, "parallel": 200, "parallel_multiple": 200,
    "irrelevance": 240, "live_simple": 258, "live_multiple": 1053, "live_parallel": 16, "live_parallel_multiple": 24,
    "live_irrelevance": 884, "live_relevance": 16,
}  # fmt: skip

UNPASSABLE = [  # whose answers no call can give, by BFCL's own rules
    "live_multiple_862-181-3", "live_multiple_964-207-0", "live_simple_106-63-0", "live_simple_112-68-0",
    "simple_java_36", "simple_java_64", "simple_java_65",
]  # fmt: skip


def question(name, **changes):
    turns = [[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Area?"}]]
    return {"id": name, "question": turns, "function": [TOOL]} | changes


def write(folder, *rows, answers=()):
    file = folder / "BFCL_v4_x.json"
    file.write_text("\n".join(map(json.dumps, rows)))
    if answers:
        (folder / "possible_answer").mkdir()
        lines = [json.dumps({"id": name, "ground_truth": truth}).replace("1.5,", "1.50,") for name, truth in answers]
        (folder / "possible_answer" / file.name).write_text("\n".join(lines))
    return file


def test_the_answers_beside_a_question_are_all_accepted_and_the_first_of_each_is_the_reference(tmp_path):
    ((row, (prompt,)),) = read_prompts_of(write(tmp_path, question("simple_python_0"), answers=[("simple_python_0", TRUTH)]))
    assert (row.kind, row.multi_turn, prompt.id) == ("BFCL", False, "simple_python_0")
    assert prompt.messages == (Message("system", "Be brief."), Message("user", "Area?"))
    assert prompt.reference == (
        ToolCall("area.of", {"base": Decimal("1.50"), "unit": "cm", "more": {"a": "x", "b": 3}, "rows": [{"k": 1}, 2]}),
        ToolCall("area.of", {"base": 3}),
    )
    assert prompt.accepted[1] == AcceptedCall("area.of", {"base": (3,), "unit": ("",)})
    assert prompt.accepted[0].values["more"] == ({"a": ["x", "y"], "b": ["", 3], "c": [""]},)


def test_an_argument_whose_only_right_value_is_nothing_is_left_out_if_it_may_be(tmp_path):
    values = {"base": [None], "unit": [None, ""], "rows": ["", None, [1]]}
    ((_, (prompt,)),) = read_prompts_of(write(tmp_path, question("a", ground_truth=[{"area.of": values}])))
    assert prompt.reference[0].arguments == {"base": None, "rows": [1]}


def test_types_become_json_schema_and_the_words_of_gorilla_stay(tmp_path):
    ((_, (prompt,)),) = read_prompts_of(write(tmp_path, question("a", ground_truth=[])))
    assert prompt.tools[0].parameters["properties"]["base"] == {"type": "number", "x_type": "float"}
    assert "x_language" not in prompt.tools[0].parameters


@pytest.mark.parametrize(
    ("name", "language"),
    [("simple_java_3", "java"), ("java_3", "java"), ("simple_javascript_3", "javascript"), ("javascript_3", "javascript")],
)
def test_the_language_of_java_and_javascript_is_kept(tmp_path, name, language):
    ((_, (prompt,)),) = read_prompts_of(write(tmp_path, question(name, ground_truth=TRUTH)))
    assert prompt.tools[0].parameters["x_language"] == language


def test_arguments_of_java_and_javascript_are_text_that_holds_a_literal(tmp_path):
    row = question("simple_java_0", ground_truth=[{"area.of": {"base": [1.5], "rows": [[1, "a"]], "more": [{"k": [True]}]}}])
    ((_, (prompt,)),) = read_prompts_of(write(tmp_path, row))
    assert prompt.tools[0].parameters["properties"]["base"] == {
        "type": "string",
        "x_type": "float",
        "description": "Text that holds a Java literal of type float.",
    }
    assert prompt.reference[0].arguments == {
        "base": "1.5f",
        "rows": 'new ArrayList<Object>(Arrays.asList(1, "a"))',
        "more": 'new HashMap<String, Object>() {{ put("k", true); }}',
    }
    assert prompt.accepted[0].values["base"] == (Decimal("1.5"),)
    ((_, (prompt,)),) = read_prompts_of(write(tmp_path, row | {"id": "simple_javascript_0"}))
    assert prompt.reference[0].arguments == {"base": "1.5", "rows": '[1, "a"]', "more": "{k: true}"}


@pytest.mark.parametrize("name", ["simple_python_0", "simple_java_0", "simple_javascript_0"])
@pytest.mark.parametrize(
    "parameters", [{"type": "dict", "properties": 5}, {"properties": {"base": {"type": ["x"], "items": {"type": {}}}}}]
)
def test_a_schema_that_is_none_does_not_keep_a_question_from_being_read(tmp_path, name, parameters):
    row = question(name, function=[TOOL | {"parameters": parameters}], ground_truth=[{"area.of": {"base": [[1, 2]]}}])
    ((_, (prompt,)),) = read_prompts_of(write(tmp_path, row))
    assert prompt.accepted == (AcceptedCall("area.of", {"base": ([1, 2],)}),)


def test_irrelevant_questions_have_an_empty_reference_and_relevant_ones_none_at_all(tmp_path):
    irrelevant, relevant = read_prompts_of(write(tmp_path, question("live_irrelevance_0-0-0"), question("live_relevance_0-0-0")))
    assert irrelevant[1][0].reference == irrelevant[1][0].accepted == ()
    assert relevant[1] == ()
    assert relevant[0].unreadable.startswith("any call is right here")


def test_questions_without_their_answers_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"possible_answer/BFCL_v4_x.json: no such file; put BFCL's possible_answer beside its questions"):
        list(read_prompts_of(write(tmp_path, question("simple_python_0"))))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"ground_truth": [{"f": {"a": 1}}]}, r"ground_truth\[0\]: expected {function: {argument: \[values\]}}"),
        ({"ground_truth": ["f"]}, r"ground_truth\[0\]"),
        ({"question": [[], []]}, "only single-turn categories"),
        ({"function": "none"}, "`function`: expected a list"),
        ({"id": None}, "`id`: expected the name"),
    ],
)
def test_a_question_that_cannot_be_read_says_why(tmp_path, change, what):
    ((row, prompts),) = read_prompts_of(write(tmp_path, question("x", ground_truth=TRUTH) | change))
    assert prompts == ()
    with pytest.raises(DataError, match=what):
        raise DataError(row.unreadable)


def test_every_question_of_bfcl_is_read(shared_data):
    for category, items in ITEMS.items():
        rows = list(read_prompts_of(shared_data / "bfcl_v4" / f"BFCL_v4_{category}.json"))
        assert len(rows) == items, category
        assert [row.place for row, prompts in rows if len(prompts) != 1] == [row.place for row, _ in rows if category == "live_relevance"]
        no_call = "relevance" in category
        assert all((prompt.reference == ()) == no_call and len(prompt.accepted) == len(prompt.reference) for _, p in rows for prompt in p)


def test_every_reference_is_right_by_the_official_rules_but_where_no_answer_is(shared_data):
    wrong = []
    for category in ITEMS:
        for _, prompts in read_prompts_of(shared_data / "bfcl_v4" / f"BFCL_v4_{category}.json"):
            wrong += [prompt.id for prompt in prompts if prompt.accepted and explain_bfcl(prompt.reference, prompt.accepted, prompt.tools)]
    assert sorted(wrong) == UNPASSABLE
