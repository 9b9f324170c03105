import json

import pytest

from toolrl.data.benchmarks.readers import Item, read_items, title
from toolrl.errors import DataError

FUNCTION = {"name": "f", "description": "", "parameters": {"type": "dict", "properties": {"a": {"type": "float"}}}}


@pytest.fixture
def items(tmp_path):
    def read(name, file, *rows):
        (tmp_path / file).write_text("\n".join(map(json.dumps, rows)) + "\n")
        return list(read_items(name, [tmp_path]))

    return read


def test_bfcl_turns_are_the_users_alone_and_once_more_joined_where_several_follow_each_other(items):
    turns = [
        [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
        [{"role": "assistant", "content": "c"}, {"role": "user", "content": "d"}],
    ]
    (item,) = items("bfcl", "BFCL_v4_x.json", {"id": "x", "question": turns, "function": [FUNCTION]})
    assert item.turns == ("a", "b", "a\nb", "d")
    assert item.tools[0].parameters["properties"]["a"]["type"] == "number"


def test_bfcl_items_that_name_classes_come_without_tools(items):
    row = {"id": "x", "question": [[{"role": "user", "content": "a"}], [{"role": "user", "content": "b"}]], "involved_classes": ["Fs"]}
    assert items("bfcl", "BFCL_v4_multi_turn_base.json", row) == [Item(("a", "b"))]


def test_bfcl_items_of_other_languages_are_known_as_asked_and_as_shown(items):
    java = {"name": "f", "parameters": {"type": "dict", "properties": {"a": {"type": "HashMap"}}}}
    asked, shown = items(
        "bfcl", "BFCL_v4_x.json", {"id": "simple_java_1", "question": [[{"role": "user", "content": "a"}]], "function": [java]}
    )
    assert (asked.counted, "type" in asked.tools[0].parameters["properties"]["a"]) == (True, False)
    assert (shown.counted, shown.tools[0].parameters["properties"]["a"]["type"]) == (False, "string")


def test_an_api_bank_dialogue_is_a_line_or_a_file(items):
    turns = [{"role": "User", "text": "a"}, {"role": "AI", "text": "b"}, {"role": "API", "api_name": "f"}, {"role": "User", "text": "c"}]
    assert items("apibank", "level1.jsonl", {"file": "x", "turns": turns}) == [Item(("a", "c"))]
    assert items("apibank", "level1.jsonl", *turns) == [Item(("a", "c"))]


def test_a_step_of_api_bank_lends_its_tools_and_does_not_count(items):
    row = {"messages": [{"role": "user", "content": "a\nGenerate API Request:"}, {"role": "tool", "content": "b"}], "tools": [FUNCTION]}
    (item,) = items("apibank", "steps.jsonl", row)
    assert (item.turns, item.tools[0].name, item.counted) == (("a\nGenerate API Request:", "a"), "f", False)


def test_acebench_turns_stand_in_one_text_and_are_known_whole_too(items):
    text = "user: a\nand system: more\nsystem: b?\nuser: c\n"
    old = {"name": "g", "description": "", "arguments": FUNCTION["parameters"], "results": {}}
    (item,) = items("acebench", "data_normal_x.json", {"id": "x", "question": text, "function": [FUNCTION, old]})
    assert item.turns == (" a\nand system: more\n", " c\n", text)
    assert item.tools[0].parameters == item.tools[1].parameters
    assert [tool.name for tool in item.tools] == ["f", "g"]


def test_another_name_stands_for_rows_of_the_users_own(items, tmp_path):
    file = tmp_path / "own.jsonl"
    file.write_text(json.dumps({"messages": [{"role": "user", "content": "a"}], "tools": [FUNCTION], "answer": []}))
    (item,) = read_items("our-eval", [file])
    assert (item.turns, item.tools[0].name) == (("a",), "f")
    assert [title("our-eval"), title("apibank")] == ["our-eval", "API-Bank"]


@pytest.mark.parametrize(
    ("row", "what"),
    [({"id": "x"}, "KeyError 'question'"), ([], "TypeError"), ({"question": 5, "function": []}, "TypeError"),
     ({"question": [], "function": [{"parameters": {}}]}, r"tools\[0\]: expected .*name the tool")],
)  # fmt: skip
def test_a_row_that_is_none_names_its_line_and_what_to_do(items, row, what):
    good = {"question": [[{"role": "user", "content": "a"}]], "function": []}
    with pytest.raises(DataError, match=rf"BFCL_v4_x\.json:2: not a row of BFCL \({what}.*name its question files"):
        items("bfcl", "BFCL_v4_x.json", good, row)


def test_a_folder_without_the_files_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no file BFCL_v\*\.json there"):
        list(read_items("bfcl", [tmp_path]))


def test_a_line_that_is_no_json_is_named_as_such(tmp_path):
    (tmp_path / "data_x.json").write_text("{\n")
    with pytest.raises(DataError, match=r"^[^ ]*data_x\.json:1: not one JSON value in UTF-8"):
        list(read_items("acebench", [tmp_path]))


@pytest.mark.parametrize("name", ["BFCL_v4_simple.json", "data_x.json", "level1.jsonl"])
def test_a_file_of_a_benchmark_without_items_is_named(tmp_path, name):
    (tmp_path / name).write_text(" \n")
    known = {"BFCL_v4_simple.json": "bfcl", "data_x.json": "acebench", "level1.jsonl": "apibank"}
    with pytest.raises(DataError, match=f"{name}: no items in it; give the whole file, or leave it out"):
        list(read_items(known[name], [tmp_path]))
