"""prompts.parquet: each prompt once, to the last digit."""

import json
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.errors import RunFolderError
from toolrl.monitor.prompts import _EXACT, SCHEMA, exact_json, read_prompts, read_tokens, write_prompts
from toolrl.types import AcceptedCall, Draw, Message, Prompt, Tool, ToolCall


def draw(number, prompt_id):
    prompt = Prompt(
        id=prompt_id,
        source="rows.jsonl",
        messages=(Message("user", "pay 0.10"), Message("assistant", "", (ToolCall("ask", {"n": 1}),))),
        tools=(Tool("pay", "Pays.", {"type": "object", "properties": {"amount": {"type": "number"}}}),),
        reference=(ToolCall("pay", {"amount": Decimal("0.10")}),),
        dialogue="d1",
    )
    return Draw(number, prompt, np.array([number, 7], np.int32), seed=number)


def test_each_prompt_of_a_split_is_there_once_with_its_tokens(tmp_path):
    path = tmp_path / "prompts.parquet"
    write_prompts(path, {"train": [draw(0, "a"), draw(1, "b"), draw(2, "a")], "heldout": (draw(0, "c"),)})
    rows = pq.read_table(path).to_pylist()
    assert [(row["prompt_id"], row["split"]) for row in rows] == [("a", "train"), ("b", "train"), ("c", "heldout")]
    assert rows[1]["tokens"] == [1, 7]
    assert rows[0]["reference"] == '[{"name": "pay", "arguments": {"amount": 0.10}}]'
    assert json.loads(rows[0]["messages"])[1] == {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"name": "ask", "arguments": {"n": 1}}],
    }
    assert json.loads(rows[0]["tools"])[0]["description"] == "Pays."
    assert list(tmp_path.iterdir()) == [path]


def test_a_resumed_run_leaves_the_file_alone(tmp_path):
    path = tmp_path / "prompts.parquet"
    write_prompts(path, {"train": [draw(0, "a")]})
    before = path.stat().st_mtime_ns
    write_prompts(path, {"train": pytest.fail})
    assert path.stat().st_mtime_ns == before


def test_what_is_read_is_what_was_drawn(tmp_path):
    path = tmp_path / "prompts.parquet"
    accepted = (AcceptedCall("pay", {"amount": (Decimal("0.10"), 2**70, "")}),)
    rich = Draw(2, replace(draw(2, "é").prompt, accepted=accepted), np.array([1], np.int32), seed=2)
    write_prompts(path, {"train": [draw(0, "a"), rich]})
    prompts = read_prompts(path)
    assert dict(prompts) == {"a": draw(0, "a").prompt, "é": rich.prompt}
    assert str(prompts["a"].reference[0].arguments["amount"]) == "0.10"
    assert prompts["é"] is prompts["é"]  # made once


@given(st.decimals(allow_nan=False, allow_infinity=False) | st.integers())
def test_a_fraction_stays_a_fraction_and_an_integer_an_integer(value):
    again = _EXACT.decode(exact_json([value]))[0]
    assert (type(again), again) == (type(value), value)


def test_a_split_has_its_own_ids(tmp_path):
    path = tmp_path / "prompts.parquet"
    other = Draw(0, replace(draw(0, "a").prompt, dialogue="d2"), np.array([1], np.int32), seed=0)
    write_prompts(path, {"train": [draw(0, "a"), draw(1, "b")], "heldout": [other]})
    assert [prompt.dialogue for prompt in read_prompts(path, "heldout").values()] == ["d2"]
    assert list(read_prompts(path)) == ["a", "b"]
    assert "c" not in read_prompts(path)


def test_a_file_that_no_run_wrote_is_refused_in_one_message(tmp_path):
    path = tmp_path / "prompts.parquet"
    with pytest.raises(RunFolderError, match="no such file"):
        read_prompts(path)
    path.write_bytes(b"PAR1")
    with pytest.raises(RunFolderError, match="not a readable Parquet file"):
        read_prompts(path)
    pq.write_table(pa.table({"prompt_id": ["a"]}), path)
    with pytest.raises(RunFolderError, match="no column split, source"):
        read_prompts(path)


@pytest.mark.parametrize("damaged", ["{", "[1]", "[{}]", "7"])
def test_a_damaged_row_is_named_when_it_is_asked_for(tmp_path, damaged):
    path = tmp_path / "prompts.parquet"
    row = dict.fromkeys(SCHEMA.names, "[]") | {"prompt_id": "p", "split": "train", "reference": damaged, "tokens": []}
    pq.write_table(pa.Table.from_pylist([row], schema=SCHEMA), path)
    with pytest.raises(RunFolderError, match="prompt 'p' is damaged"):
        read_prompts(path)["p"]


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_keeps_every_digit(value):
    again = json.loads(exact_json([value]), parse_float=Decimal, parse_int=Decimal)[0]
    assert again == value


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_everything_else_is_what_json_writes(value):
    assert exact_json(value) == json.dumps(value)


def test_token_ids_are_read_for_the_prompts_that_are_asked_for(tmp_path):
    path = tmp_path / "prompts.parquet"
    rows = [
        dict.fromkeys(SCHEMA.names, "[]") | {"prompt_id": name, "split": split, "tokens": tokens}
        for name, split, tokens in (("a", "train", [1, 2]), ("a", "heldout", [9]), ("b", "train", [3]), ("c", "train", None))
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path)
    found = read_tokens(path, {"a", "b"})
    assert {name: ids.tolist() for name, ids in found.items()} == {"a": [1, 2], "b": [3]}
    assert all(ids.dtype == np.int32 for ids in found.values())
    for missing in ("c", "d"):
        with pytest.raises(RunFolderError, match=f"no tokens of the prompt '{missing}'"):
            read_tokens(path, {"a", missing})
