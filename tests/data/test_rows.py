import json
import pickle
from decimal import Decimal

import pytest

from toolrl.data.rows import read_rows, to_prompt
from toolrl.errors import DataError
from toolrl.types import Message, Prompt, Tool, ToolCall

ROW = {
    "id": "r1",
    "source": "s",
    "messages": [{"role": "user", "content": "How warm is Oslo?"}],
    "tools": [{"name": "temperature", "description": "Of a city.", "parameters": {"type": "object", "properties": {}}}],
    "answer": [{"name": "temperature", "arguments": {"city": "Oslo"}}],
}


def write(folder, *lines, name="rows.jsonl"):
    path = folder / name
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return path


def test_a_row_becomes_the_prompt_it_describes(tmp_path):
    (prompt,) = read_rows(write(tmp_path, json.dumps(ROW)))
    assert prompt == Prompt(
        id="r1",
        source="s",
        messages=(Message("user", "How warm is Oslo?"),),
        tools=(Tool("temperature", "Of a city.", {"type": "object", "properties": {}}),),
        reference=(ToolCall("temperature", {"city": "Oslo"}),),
        dialogue=prompt.dialogue,
    )


def test_numbers_of_a_reference_never_pass_through_float(tmp_path):
    call = '{"name": "f", "arguments": {"a": 1, "b": 1.0, "c": 0.1}}'
    line = f'{{"messages": [{{"role": "user", "content": "x"}}], "tools": [], "answer": [{call}]}}'
    (prompt,) = pickle.loads(pickle.dumps(list(read_rows(write(tmp_path, line)))))  # noqa: S301
    arguments = prompt.reference[0].arguments
    assert [(type(v), str(v)) for v in arguments.values()] == [(int, "1"), (Decimal, "1.0"), (Decimal, "0.1")]


def test_rows_without_names_are_called_by_file_and_line_and_blank_lines_count(tmp_path):
    bare = json.dumps({key: ROW[key] for key in ("messages", "tools", "answer")})
    prompts = list(read_rows(write(tmp_path, "\ufeff" + bare, "", bare)))
    assert [(p.id, p.source) for p in prompts] == [("rows.jsonl:1", "rows.jsonl"), ("rows.jsonl:3", "rows.jsonl")]


def test_rows_are_read_one_at_a_time(tmp_path):
    rows = read_rows(write(tmp_path, json.dumps(ROW), "not JSON"))
    assert next(rows).id == "r1"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "not one JSON value"),
        (b'{"a": "\xff"}', "UTF-8"),
        ("[]", "got a list"),
        ('{"query": "x"}', "got the keys 'query'"),
        ('{"messages": [], "answer": []}', "`tools`: expected a list, got nothing"),
        (json.dumps(ROW | {"messages": []}), "expected a user turn"),
        (json.dumps(ROW | {"messages": [{"role": "bot", "content": "x"}]}), "got 'bot'"),
        (json.dumps(ROW | {"answer": {"name": "f"}}), "expected a list of calls"),
        (json.dumps(ROW | {"id": ["x"]}), "`id`: expected text"),
        (json.dumps(ROW | {"id": True}), "`id`: expected text"),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(tmp_path, line, what):
    path = write(tmp_path, json.dumps(ROW), line)
    with pytest.raises(DataError) as caught:
        list(read_rows(path))
    assert str(caught.value).startswith(f"{path}:2: ")
    assert what in str(caught.value)


def test_a_missing_file_says_what_to_give(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.jsonl: no such file or folder; give a JSONL file"):
        list(read_rows(tmp_path / "nowhere.jsonl"))


def test_the_kind_is_told_row_by_row():
    openai = {
        "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
        ],
        "tools": [{"type": "function", "function": {"name": "f"}}],
    }
    prompts = [to_prompt(row, default_id="i", default_source="s") for row in (ROW, openai)]
    assert [p.reference[0].name for p in prompts] == ["temperature", "f"]


def test_every_real_row_is_read_and_none_is_changed(shared_data):
    for name in ("tool_calling/train.jsonl", "tool_calling/test.jsonl", "apibank/unified.jsonl"):
        path = shared_data / name
        with path.open() as lines:
            rows = [json.loads(line, parse_float=Decimal) for line in lines]
        prompts = list(read_rows(path))
        for row, prompt in zip(rows, prompts, strict=True):
            assert [(c.name, c.arguments) for c in prompt.reference] == [(c["name"], c["arguments"]) for c in row["answer"]]
            assert [(t.name, t.parameters) for t in prompt.tools] == [(t["name"], t["parameters"]) for t in row["tools"]]
            assert [m.role for m in prompt.messages] == [m["role"] for m in row["messages"]]


def test_steps_of_one_real_dialogue_share_its_name(shared_data):
    dialogues = {}
    for prompt in read_rows(shared_data / "tool_calling" / "train.jsonl"):
        if prompt.id.startswith("glaive_"):  # glaive_DIALOGUE_TURN
            dialogues.setdefault(prompt.id.rsplit("_", 1)[0], set()).add(prompt.dialogue)
    assert len(dialogues) > 100
    assert {len(names) for names in dialogues.values()} == {1}
