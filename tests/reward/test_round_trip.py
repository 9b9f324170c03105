"""Reference -> rendered completion -> parsed -> equal, and right in every mode: every real row, every answer of BFCL and ACEBench."""

import json
import re
from decimal import Decimal

import pytest

from toolrl.calls.parse import Calls, parse
from toolrl.calls.render import render_completion
from toolrl.data.rows import read_prompts_of
from toolrl.reward.verifier import MODES, make_verifier
from toolrl.types import Prompt, Tool, ToolCall

UNPASSABLE = {
    "live_simple_106-63-0", "live_simple_112-68-0",  # the label accepts nothing for an argument
    "live_multiple_862-181-3", "live_multiple_964-207-0",  # the label has an argument that the schema has not
    "simple_java_36", "simple_java_65",  # the label's items are no text, and the checker compares texts
    "simple_java_64",  # the label is a text where a list of texts was meant
}  # fmt: skip
"""Items of BFCL whose own answer its checker rejects."""
CATEGORIES = (
    "simple_python", "multiple", "parallel", "parallel_multiple", "live_simple", "live_multiple", "live_parallel",
    "live_parallel_multiple", "simple_java", "simple_javascript",
)  # fmt: skip


def typed(value):
    """A value in which 1, 1.0, "1" and true are four different things, and keys have no order."""
    if isinstance(value, dict):
        return "object", frozenset((key, typed(item)) for key, item in value.items())
    if isinstance(value, list):
        return "list", tuple(map(typed, value))
    return type(value).__name__, str(value)


def rejected(prompts):
    """Every (mode, prompt id) that does not reward its own reference; on the way the parser must give it back."""
    found = set()
    verifiers = {mode: make_verifier(mode) for mode in MODES}
    for prompt in prompts:
        text = render_completion(prompt.reference, "The request names what is needed.")
        parsed = parse(text)
        assert isinstance(parsed, Calls), (prompt.id, parsed)
        assert [(c.name, typed(c.arguments)) for c in parsed.calls] == [(c.name, typed(c.arguments)) for c in prompt.reference], prompt.id
        for mode, verifier in verifiers.items():
            verdict = verifier(prompt, text)
            if verdict.reward != 1.0:
                found.add((mode, prompt.id))
            else:
                assert (verdict.format_right, verdict.content_right) == (True, True), (mode, prompt.id)
    return found


def prompts_of(file):
    return [prompt for _, prompts in read_prompts_of(file) for prompt in prompts]


@pytest.mark.parametrize(
    ("name", "count", "by_bfcl"),
    [("tool_calling/train.jsonl", 2366, 19), ("tool_calling/test.jsonl", 317, 1), ("apibank/unified.jsonl", 526, 14)],
)
def test_every_real_row(shared_data, name, count, by_bfcl):
    """Only BFCL's rules reject any reference: some of those whose tool or argument is not in the schema, where it looks them up."""
    flags = {row["id"]: set(row["flags"]) for row in map(json.loads, (shared_data / name).read_text().splitlines())}
    prompts = prompts_of(shared_data / name)
    assert len(prompts) == count
    found = rejected(prompts)
    assert {mode for mode, _ in found} == {"bfcl"}
    assert all(flags[row] & {"argument_not_in_schema", "name_not_in_tools"} for _, row in found)
    assert len(found) == by_bfcl


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_answer_of_bfcl(shared_data, category):
    prompts = prompts_of(shared_data / "bfcl_v4" / f"BFCL_v4_{category}.json")
    assert prompts
    assert rejected(prompts) == {("bfcl", prompt.id) for prompt in prompts if prompt.id in UNPASSABLE}


def test_every_answer_of_acebench(shared_data):
    """Its answers are objects of calls by name, where further calls of one tool are numbered; answers of whole dialogues are left out."""
    prompts = []
    folder = shared_data / "acebench_en"
    for file in sorted((folder / "possible_answer").glob("data_normal_*.json")):
        questions = {row["id"]: row for row in _rows(folder / file.name)}
        for row in _rows(file):
            tools = tuple(Tool(t["name"], "", t.get("arguments") or t["parameters"]) for t in questions[row["id"]]["function"])
            names, truth = {tool.name for tool in tools}, row["ground_truth"]
            if isinstance(truth, dict) and all(isinstance(given, dict) for given in truth.values()):
                calls = tuple(ToolCall(name if name in names else re.sub(r"_\d+$", "", name), given) for name, given in truth.items())
                prompts.append(Prompt(row["id"], "ACEBench", (), tools, calls))
    unknown = {("bfcl", prompt.id) for prompt in prompts if any(_has_unknown_argument(call, prompt.tools) for call in prompt.reference)}
    assert len(prompts) == 821
    assert rejected(prompts) == unknown  # BFCL's rules look every argument up in the schema


def _has_unknown_argument(call, tools):
    schema = next((tool.parameters for tool in tools if tool.name == call.name), {})
    return not call.arguments.keys() <= schema.get("properties", {}).keys()


def _rows(file):
    return [json.loads(line, parse_float=Decimal) for line in file.read_text().splitlines() if line.strip()]
