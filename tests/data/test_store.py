from dataclasses import replace
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from toolrl.data.rows import read_rows
from toolrl.data.store import CHARS_PER_GROUP, ROWS_PER_GROUP, PromptWriter, read_prompts
from toolrl.errors import DataError
from toolrl.types import Message, Prompt, Tool, ToolCall

PROMPT = Prompt(
    id="p",
    source="s",
    messages=(Message("user", "naïve 😀\n"), Message("assistant", "think", (ToolCall("f", {"x": Decimal("0.10")}),)), Message("tool", "")),
    tools=(Tool("f", "d", {"type": "object", "properties": {"x": {"type": "number", "default": Decimal("1.0"), "maximum": 1}}}),),
    reference=(ToolCall("f", {"x": Decimal("1E+3"), "y": [1, None, {"z": True}]}),),
    dialogue="d",
)


def write(path, prompts):
    with PromptWriter(path) as writer:
        for prompt in prompts:
            writer.write(prompt)
    return writer.written


def test_a_prompt_comes_back_as_it_was_digit_by_digit(tmp_path):
    assert write(tmp_path / "x.parquet", [PROMPT]) == 1
    (back,) = read_prompts(tmp_path / "x.parquet")
    assert back == PROMPT
    assert repr(back) == repr(PROMPT)  # Decimal("0.10") and Decimal("0.1") are equal, and must not be confused


def test_prompts_of_many_row_groups_keep_their_order_and_bytes(tmp_path):
    prompts = [replace(PROMPT, id=str(i)) for i in range(ROWS_PER_GROUP + 3)]
    for name in ("a", "b"):
        write(tmp_path / name, prompts)
    assert [p.id for p in read_prompts(tmp_path / "a")] == [p.id for p in prompts]
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_long_rows_make_small_groups(tmp_path):
    long = replace(PROMPT, messages=(Message("user", "x" * (CHARS_PER_GROUP // 2)),))
    write(tmp_path / "x.parquet", [long] * 5)
    groups = pq.ParquetFile(tmp_path / "x.parquet").metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [2, 2, 1]


def test_an_empty_part_is_a_file_too(tmp_path):
    write(tmp_path / "x.parquet", [])
    assert list(read_prompts(tmp_path / "x.parquet")) == []


def test_another_file_is_refused_by_name(tmp_path):
    (tmp_path / "text.parquet").write_text("no")
    pq.write_table(pa.table({"id": ["x"]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match=r"text\.parquet: not a readable Parquet file"):
        list(read_prompts(tmp_path / "text.parquet"))
    with pytest.raises(DataError, match=r"other\.parquet: no column source, dialogue, messages, tools, reference, accepted; make it with"):
        list(read_prompts(tmp_path / "other.parquet"))


def test_every_real_row_survives_storage(shared_data, tmp_path):
    prompts = list(read_rows(shared_data / "tool_calling" / "train.jsonl"))
    write(tmp_path / "x.parquet", prompts)
    assert list(map(repr, read_prompts(tmp_path / "x.parquet"))) == list(map(repr, prompts))


@pytest.mark.parametrize("name", ["messages", "tools", "reference", "accepted"])
@pytest.mark.parametrize("text", ["", "7", "[7]", "[[]]", '[{"name": 1}]', "[" * 5000, '[{"values": 3}]', "null"])
def test_a_row_that_holds_no_prompt_is_named_by_its_number(tmp_path, name, text):
    write(tmp_path / "p.parquet", [PROMPT, replace(PROMPT, id="q")])
    table = pq.ParquetFile(tmp_path / "p.parquet").read()
    at = table.schema.get_field_index(name)
    broken = table.set_column(at, name, pa.array([table.column(name)[0].as_py(), text]))
    pq.write_table(broken, tmp_path / "p.parquet")
    with pytest.raises(DataError, match=r"p\.parquet: row 2 holds no prompt .*; make it with `toolrl prepare`"):
        list(read_prompts(tmp_path / "p.parquet"))


def test_a_flipped_bit_is_no_other_prompt(tmp_path):
    write(tmp_path / "p.parquet", [PROMPT])
    whole = (tmp_path / "p.parquet").read_bytes()
    told = []
    for at in range(0, len(whole), 7):
        (tmp_path / "p.parquet").write_bytes(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])
        try:
            assert list(read_prompts(tmp_path / "p.parquet")) == [PROMPT]  # of the end, a name or a count that nobody asks for
        except DataError as error:
            told.append(str(error))
    assert len(told) > 20
    assert all(f"{tmp_path}/p.parquet: " in message for message in told)


def test_a_missing_value_is_named(tmp_path):
    write(tmp_path / "p.parquet", [PROMPT])
    table = pq.ParquetFile(tmp_path / "p.parquet").read()
    pq.write_table(table.set_column(0, "id", pa.array([None], pa.string())), tmp_path / "p.parquet")
    with pytest.raises(DataError, match=r"p\.parquet: no value in a row of id"):
        list(read_prompts(tmp_path / "p.parquet"))
