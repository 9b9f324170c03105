import json
import pickle
import tracemalloc
from dataclasses import replace
from decimal import Decimal

import pytest

from toolrl.data.rows import RawRow, read_prompts_of, read_rows, to_prompt
from toolrl.data.store import PromptWriter
from toolrl.errors import ConfigError, DataError
from toolrl.types import AcceptedCall, Message, Prompt, Tool, ToolCall

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


ACE = {"system": "Tools: []", "conversations": [{"from": "user", "value": "x"}, {"from": "assistant", "value": "[f(a=Oslo)]"}]}
XLAM = {"id": 1, "query": "x", "answers": '[{"name": "f", "arguments": {}}]', "tools": "[]"}


def test_rows_of_several_formats_may_stand_in_one_file(tmp_path):
    hermes = {"conversations": [{"from": "human", "value": "x"}, {"from": "gpt", "value": "y"}], "tools": []}
    rlla = {"instruction": "i", "input": "x", "output": "<response>y</response>"}
    bfcl = {"id": "b", "question": [[{"role": "user", "content": "x"}]], "function": [], "ground_truth": []}
    read = list(read_prompts_of(write(tmp_path, *map(json.dumps, (ROW, XLAM, ACE, hermes, rlla, bfcl)))))
    assert [row.kind for row, _ in read] == ["chat", "xLAM", "ToolACE", "Hermes", "ToolRL", "BFCL"]
    assert [len(prompts) for _, prompts in read] == [1, 1, 0, 1, 1, 1]
    assert read[2][0] == RawRow(f"{tmp_path}/rows.jsonl:3", "ToolACE", multi_turn=False, unreadable=read[2][0].unreadable)
    assert "text must stand in quotes" in read[2][0].unreadable


def test_a_row_of_a_published_set_that_cannot_be_read_does_not_stop_the_rest_but_the_users_own_does(tmp_path):
    mine = json.dumps(ROW | {"messages": []})
    assert [bool(prompts) for _, prompts in read_prompts_of(write(tmp_path, json.dumps(ACE), json.dumps(XLAM)))] == [False, True]
    with pytest.raises(DataError, match=r"rows\.jsonl:1: expected a user turn"):
        list(read_prompts_of(write(tmp_path, mine, json.dumps(ROW))))
    with pytest.raises(DataError, match=r"rows\.jsonl:1: conversations\[1\].*leave such rows out with `toolrl prepare`"):
        list(read_rows(write(tmp_path, json.dumps(ACE))))


def test_any_row_may_be_passed_over_when_asked_but_not_what_is_no_json(tmp_path):
    path = write(tmp_path, json.dumps(ROW | {"messages": []}), '{"query": "x"}', "[]", json.dumps(ROW))
    read = list(read_prompts_of(path, skip_unreadable=True))
    assert [(row.kind, len(prompts)) for row, prompts in read] == [("chat", 0), ("", 0), ("", 0), ("chat", 1)]
    with pytest.raises(DataError, match="not one JSON value"):
        list(read_prompts_of(write(tmp_path, "{"), skip_unreadable=True))


def test_a_format_that_is_named_is_the_one_that_reads(tmp_path):
    ((row, prompts),) = read_prompts_of(write(tmp_path, json.dumps(ROW)), "toolace")
    assert (row.kind, prompts) == ("ToolACE", ())
    assert "`system`: expected text, got nothing" in row.unreadable
    with pytest.raises(ConfigError, match="format: got 'csv'; name one of auto, chat, xlam"):
        read_prompts_of(tmp_path / "rows.jsonl", "csv")


def test_what_is_not_there_is_refused_before_a_row_is_asked_for(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        read_prompts_of(tmp_path / "nowhere.jsonl")


def test_what_was_prepared_is_read_back_as_it_is(tmp_path):
    written = [
        replace(prompt, accepted=(AcceptedCall("f", {"a": (1, Decimal("1.50"), "")}),))
        for prompt in read_rows(write(tmp_path, json.dumps(ROW), json.dumps(XLAM)))
    ]
    (tmp_path / "made").mkdir()
    for part, prompt in zip(("train", "heldout"), written, strict=True):
        with PromptWriter(tmp_path / "made" / f"{part}.parquet") as writer:
            writer.write(prompt)
    assert [prompts for _, prompts in read_prompts_of(tmp_path / "made" / "train.parquet")] == [(written[0],)]
    assert [prompts for _, prompts in read_prompts_of(tmp_path / "made")] == [(prompt,) for prompt in written]


def test_dialogues_in_a_parquet_file_are_read_like_those_in_json(tmp_path):
    import datasets

    calling = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": '{"n": 1.50}'}}]}
    row = {"id": "p", "messages": [{"role": "user", "content": "x"}, calling], "tools": json.dumps([{"name": "f"}])}
    datasets.Dataset.from_list([row]).to_parquet(tmp_path / "x.parquet")
    (prompt,) = read_rows(tmp_path / "x.parquet")
    assert prompt.reference == (ToolCall("f", {"n": Decimal("1.50")}),)
    assert [replace(prompt, source="rows.jsonl")] == list(read_rows(write(tmp_path, json.dumps(row))))


def test_a_million_rows_are_never_held(tmp_path):
    path = tmp_path / "many.jsonl"
    with path.open("w") as file:
        for i in range(8_000):
            file.write(json.dumps(ROW | {"id": str(i), "pad": "x" * 500}) + "\n")
    tracemalloc.start()
    assert sum(len(prompts) for _, prompts in read_prompts_of(path)) == 8_000
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 1e6 < path.stat().st_size


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


def test_real_rows_are_multi_turn_where_their_own_word_says_so(shared_data):
    for name in ("tool_calling/train.jsonl", "tool_calling/test.jsonl"):
        with (shared_data / name).open() as lines:
            kinds = [json.loads(line)["kind"] for line in lines]
        rows = [row for row, prompts in read_prompts_of(shared_data / name) if len(prompts) == 1]
        assert [row.multi_turn for row in rows] == [kind.endswith("_multi_turn") for kind in kinds]
        assert {row.kind for row in rows} == {"chat"}


def test_steps_of_one_real_dialogue_share_its_name(shared_data):
    dialogues = {}
    for prompt in read_rows(shared_data / "tool_calling" / "train.jsonl"):
        if prompt.id.startswith("glaive_"):  # glaive_DIALOGUE_TURN
            dialogues.setdefault(prompt.id.rsplit("_", 1)[0], set()).add(prompt.dialogue)
    assert len(dialogues) > 100
    assert {len(names) for names in dialogues.values()} == {1}
