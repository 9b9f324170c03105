"""BFCL's questions as prompts: the same as in training."""

import json

import pytest

from toolrl.data.rows import read_prompts_of
from toolrl.errors import DataError
from toolrl.evaluation.bfcl.categories import ITEMS
from toolrl.evaluation.bfcl.questions import differing, ids_of, read_items

FUNCTION = {"name": "f", "description": "", "parameters": {"type": "dict", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}


def question(id, **changes):
    return json.dumps({"id": id, "question": [[{"role": "user", "content": "How many?"}]], "function": [FUNCTION]} | changes) + "\n"


def test_every_question_is_an_item_with_the_prompt_that_training_would_make_of_it(shared_data):
    folder = shared_data / "bfcl_v4"
    items = read_items(folder, [*ITEMS])
    assert {category: sum(item.category == category for item in items) for category in ITEMS} == dict(ITEMS)
    assert len({item.id for item in items}) == len(items)
    trained = [prompt for category in ITEMS for _, prompts in read_prompts_of(folder / f"BFCL_v4_{category}.json") for prompt in prompts]
    asked = [item.prompt for item in items if item.category != "live_relevance"]
    assert [(p.id, p.messages, p.tools, p.reference, p.accepted) for p in trained] == [
        (p.id, p.messages, p.tools, p.reference, p.accepted) for p in asked
    ]


def test_a_question_to_which_any_call_is_right_needs_no_answer(tmp_path):
    (tmp_path / "BFCL_v4_live_relevance.json").write_text(question("live_relevance_0-0-0"))
    (item,) = read_items(tmp_path, ["live_relevance"])
    assert (item.id, item.category, item.prompt.reference) == ("live_relevance_0-0-0", "live_relevance", ())
    assert [tool.name for tool in item.prompt.tools] == ["f"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"multiple\.json:2: not one JSON value"),
        ("[]", r"multiple\.json:2: expected {id, question, function}"),
        (question("b", function=5), r"multiple\.json:2: `function`"),
        (question("b"), r"multiple\.json:2: expected an answer of 'b' in possible_answer, got none"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(tmp_path, line, message):
    (tmp_path / "BFCL_v4_multiple.json").write_text(question("a") + line)
    (tmp_path / "possible_answer").mkdir()
    (tmp_path / "possible_answer" / "BFCL_v4_multiple.json").write_text('{"id": "a", "ground_truth": [{"f": {"n": [1]}}]}\n')
    with pytest.raises(DataError, match=message):
        read_items(tmp_path, ["multiple"])


def test_folders_are_compared_byte_for_byte(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "possible_answer").mkdir(parents=True)
        (tmp_path / name / "BFCL_v4_multiple.json").write_text(question("x"))
        (tmp_path / name / "possible_answer" / "BFCL_v4_multiple.json").write_text(name)
    assert differing("multiple", tmp_path / "a", tmp_path / "b") == ["possible_answer/BFCL_v4_multiple.json"]
    assert ids_of(tmp_path / "a", "multiple") == ["x"]
