"""`toolrl score`: one verdict a line, or one message and nothing written."""

import io
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from bfcl_sample import bfcl, called

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
        ([], ":2: expected a JSON object, got a list"),
        ({"id": 1, "tools": []}, ":2: expected id, tools, reference, text, got no reference, text"),
        (row(text=None), ":2: `text`: expected the completion as text, got NoneType"),
        (row(tools={}), ":2: `tools`: expected a list"),
        (row(tools=[{"parameters": {}}]), ":2: tools[0]"),
        (row(reference={}), ":2: `reference`: expected a list"),
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


def test_several_values_may_be_accepted(tmp_path):
    accepted = [{"f": {"n": [1, 2], "big": ["", 3]}}]
    texts = [completion('{"n": 2.0}'), completion('{"n": 1, "big": 3}'), completion('{"n": 3}')]
    assert [line["valid"] for line in score(tmp_path, *(row(accepted=accepted, text=text) for text in texts))] == [True, True, False]
    assert score(tmp_path, row(accepted={})).startswith(":1: `accepted`: expected a list of calls, got dict; ")


def judged(tmp_path, *rows):
    found = score(tmp_path, *rows, mode="bfcl")
    return found if isinstance(found, str) else [(line["valid"], line["reason"], line["path"]) for line in found]


def test_a_row_of_bfcl_has_the_official_verdict(tmp_path):
    calls = [called(city="paris france", days=3), called(city="Paris", days="3"), called(days=3.0), called(city="Paris", unit=1)]
    assert judged(tmp_path, *(bfcl(calls=[call]) for call in calls)) == [
        (True, "correct", ""),
        (False, "wrong_type", "[0].arguments.days"),
        (False, "missing_argument", "[0].arguments.city"),
        (False, "unexpected_argument", "[0].arguments.unit"),
    ]
    assert score(tmp_path, bfcl(), mode="bfcl") == [{"id": "b", "reward": 1.0, "valid": True, "reason": "correct", "path": ""}]


def test_the_identity_of_a_row_of_bfcl_may_be_any_json(tmp_path):
    assert [line["id"] for line in score(tmp_path, bfcl(id=1.5), bfcl(id=["x"]), mode="bfcl")] == [1.5, ["x"]]


def test_rows_with_tools_and_reference_are_judged_by_the_same_rules(tmp_path):
    assert judged(tmp_path, row(text=completion('{"n": 1}')), row(text=completion('{"n": "1"}'))) == [
        (True, "correct", ""),
        (False, "wrong_type", "[0].arguments.n"),
    ]


def test_numbers_of_python_are_verdicts_and_not_refused(tmp_path):
    calls = [float("nan"), float("inf"), 1e300, 10**400]
    assert [valid for valid, *_ in judged(tmp_path, *(bfcl(calls=[called(city="Paris", days=n)]) for n in calls))] == [False] * 4


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ([], "expected a JSON object, got a list"),
        (bfcl(category=...), "expected id, category, function, ground_truth and calls (or text), got no category"),
        (bfcl(category="simpel_java"), '`category`: expected a single-turn category of BFCL, got "simpel_java"; is it simple_java'),
        (bfcl(category="multi_turn_base"), '`category`: expected a single-turn category of BFCL, got "multi_turn_base"; is it'),
        (bfcl(category=3), "`category`: expected a single-turn category of BFCL, got 3; is it simple, simple_python"),
        (
            bfcl(id=..., function=..., ground_truth=...),
            "expected id, category, function, ground_truth and calls (or text), got no id, func",
        ),
        (bfcl(calls=...), "expected `calls` or `text`, got neither"),
        (bfcl(text=""), "expected `calls` or `text`, got both"),
        (bfcl(calls=..., text=[]), "`text`: expected the completion as text, got []"),
        (bfcl(calls={}), "`calls`: expected a list of calls, got {}"),
        (bfcl(calls=[called(city=float("nan")), "f"]), 'calls[1]: expected {name, arguments} or {function: arguments}, got "f"'),
        (bfcl(calls=[{"name": "f", "arguments": "{}"}]), "calls[0]: expected {name, arguments}"),
        (bfcl(calls=[{}]), "calls[0]: expected {name, arguments}"),
        (bfcl(function="f"), '`function`: expected a list of functions, got "f"'),
        (bfcl(function=[{}]), "tools[0]: expected {name, description, parameters}, got {}"),
        (bfcl(ground_truth={}), "`ground_truth`: expected a list of calls, got {}"),
        (bfcl(ground_truth=[]), "`ground_truth`: expected a list of calls, got []"),
        (bfcl(ground_truth=[{"f": {"city": "Paris"}}]), "ground_truth[0]: expected {function: {argument: [values]}}"),
        (bfcl(ground_truth=[{"g": {}}]), "ground_truth[0]: expected a function on offer, got 'g'"),
        (bfcl(ground_truth=[{"f": {}}, {"f": {}}]), "`ground_truth`: expected one call in category simple_python, got 2"),
    ],
)
def test_a_malformed_row_of_bfcl_is_named_and_nothing_is_written(tmp_path, line, message):
    found = judged(tmp_path, bfcl(), line)
    assert isinstance(found, str)
    assert found.startswith(f":2: {message}")
    assert ";" in found  # and what to do


def test_a_row_of_bfcl_says_which_mode_judges_it(tmp_path):
    assert "--mode bfcl" in score(tmp_path, bfcl())


def test_the_official_verdicts_come_back(tmp_path, shared_data):
    folder = shared_data / "bfcl_v4"
    with (folder / "verifier_pairs.jsonl").open() as lines:
        pairs = [json.loads(line) for number, line in enumerate(lines) if number % 20 == 0]
    known = {}
    for category in {pair["category"] for pair in pairs}:
        for kind, key in (("", "function"), ("possible_answer/", "ground_truth")):
            for line in (folder / f"{kind}BFCL_v4_{category}.json").read_text().splitlines():
                item = json.loads(line)
                known.setdefault(item["id"], {})[key] = item[key]
    found = score(tmp_path, *(pair | known[pair["id"]] for pair in pairs), mode="bfcl")
    assert [line["valid"] for line in found] == [pair["bfcl_valid"] for pair in pairs]


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_a_file_without_completions_is_refused(tmp_path, text):
    (tmp_path / "rows.jsonl").write_text(text)
    with pytest.raises(DataError, match=r"rows.jsonl: no completions in it; give a JSONL file"):
        score_file(tmp_path / "rows.jsonl", mode="strict", no_call="either", out=io.StringIO())
