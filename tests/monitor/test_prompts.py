"""prompts.parquet: each prompt once, to the last digit."""

import json
from decimal import Decimal

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.monitor.prompts import exact_json, write_prompts
from toolrl.types import Draw, Message, Prompt, Tool, ToolCall


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
