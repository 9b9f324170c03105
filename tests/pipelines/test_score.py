"""`toolrl score`: one verdict a line, or one message and nothing written."""

import io
import json

import pytest

from toolrl.errors import ConfigError, DataError
from toolrl.pipelines.score import score_file

TOOLS = [{"name": "f", "description": "", "parameters": {"properties": {"n": {"type": "number"}, "big": {"type": "integer"}}}}]
REFERENCE = [{"name": "f", "arguments": {"n": 1}}]


def completion(arguments):
    return f'<think>x</think><tool_call>[{{"name": "f", "arguments": {arguments}}}]</tool_call>'


def row(**changes):
    return {"id": "r", "tools": TOOLS, "reference": REFERENCE, "text": completion('{"n": 1.0}')} | changes


def score(tmp_path, *lines, mode="strict", no_call="either"):
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
    out = io.StringIO()
    try:
        score_file(path, mode=mode, no_call=no_call, out=out)
    except DataError as error:
        assert out.getvalue() == ""
        return str(error).removeprefix(str(path))
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_each_row_has_its_verdict_in_order(tmp_path):
    found = score(tmp_path, row(id=1), b"", row(text=completion('{"n": "1"}')), row(text="no"))
    assert found == [
        {"id": 1, "reward": 1.0, "valid": True, "reason": "correct", "path": ""},
        {"id": "r", "reward": 0.0, "valid": False, "reason": "wrong_type", "path": "[0].arguments.n"},
        {"id": "r", "reward": 0.0, "valid": False, "reason": "no_think", "path": ""},
    ]


def test_the_mode_is_that_of_the_reward_workers(tmp_path):
    assert [line["valid"] for line in score(tmp_path, row(), mode="paper")] == [False]
    answer = row(reference=[], text="<think>x</think>No tool fits.")
    assert [score(tmp_path, answer, no_call=n)[0]["valid"] for n in ("text", "list", "either")] == [True, False, True]


def test_tools_may_be_in_the_envelope_of_openai(tmp_path):
    tools = [{"type": "function", "function": tool} for tool in TOOLS]
    assert score(tmp_path, row(tools=tools))[0]["valid"]


def test_numbers_are_read_exactly(tmp_path):
    arguments = '{"a": 9007199254740993, "b": 0.10000000000000000001}'
    reference = '{"id": 1, "tools": [], "reference": [{"name": "f", "arguments": %s}], "text": %s}'
    texts = [json.dumps(completion(given)) for given in (arguments, '{"a": 9007199254740992, "b": 0.1}')]
    found = score(tmp_path, *((reference % (arguments, text)).encode() for text in texts))
    assert [line["valid"] for line in found] == [True, False]


def test_odd_text_is_scored_and_not_refused(tmp_path):
    texts = ["\ud800", "\x00", completion('{"n": "\\ud800"}'), "[" * 100_000, completion("9" * 5000)]
    assert [line["valid"] for line in score(tmp_path, *(row(text=text) for text in texts))] == [False] * 5


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", ":2: not one JSON value"),
        (b"\xff", ":2: not one JSON value in UTF-8"),
        (b'{"id": 1, "id": 2}', ":2: not one JSON value"),
        (b"[" * 10_000, ":2: not one JSON value"),
        ([], ":2: expected an object with id, tools, reference, text, got a JSON list"),
        ({"id": 1, "tools": []}, ":2: expected id, tools, reference, text, got no reference, text"),
        (row(text=None), ":2: `text`: expected the completion as text, got NoneType"),
        (row(tools={}), ":2: `tools`: expected a list"),
        (row(tools=[{"parameters": {}}]), ":2: tools[0]"),
        (row(reference={}), ":2: reference"),
        (row(reference=[{"arguments": {}}]), ":2: reference[0]"),
        (row(reference=[{"name": "f", "arguments": [1]}]), ":2: reference[0].arguments"),
    ],
)
def test_a_malformed_row_is_named_and_nothing_is_written(tmp_path, line, message):
    found = score(tmp_path, row(), line)
    assert isinstance(found, str)
    assert found.startswith(message)
    assert ";" in found  # and what to do


def test_a_missing_file_and_an_unknown_mode_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        score_file(tmp_path / "none.jsonl", mode="strict", no_call="either", out=io.StringIO())
    with pytest.raises(ConfigError, match=r"reward\.mode"):
        score_file(tmp_path / "none.jsonl", mode="lax", no_call="either", out=io.StringIO())
