"""BFCL's own items and the official checker's verdicts, where the real rows are: every gold answer, every pair."""

import json

import pytest

from toolrl.calls.bfcl import bfcl_accepts, explain_bfcl
from toolrl.calls.jsontext import decode
from toolrl.data.schemas import json_schema
from toolrl.types import AcceptedCall, Tool, ToolCall

PYTHON = (
    "simple_python", "multiple", "parallel", "parallel_multiple", "live_simple", "live_multiple", "live_parallel", "live_parallel_multiple",
)  # fmt: skip
LANGUAGES = {"simple_java": "java", "simple_javascript": "javascript"}
UNPASSABLE = {
    "live_simple_106-63-0", "live_simple_112-68-0", "live_multiple_862-181-3", "live_multiple_964-207-0",
    "simple_java_36", "simple_java_65",  # items of type any are text, and the label's are not
    "simple_java_64",  # the label's member is a text where a list of accepted values is expected
}  # fmt: skip
"""Items whose gold answer the official checker rejects."""
GREEDY = ("parallel_178", "calls_reversed")
"""The pair for which the official checker takes the first answer that fits, and ours a matching."""


def lines(path):
    return [decode(line) for line in path.read_text().splitlines()]


def items(folder, category):
    """Yield (id, accepted, tools) of a category."""
    answers = {row["id"]: row["ground_truth"] for row in lines(folder / "possible_answer" / f"BFCL_v4_{category}.json")}
    language = {"x_language": LANGUAGES[category]} if category in LANGUAGES else {}
    for row in lines(folder / f"BFCL_v4_{category}.json"):
        tools = [Tool(each["name"], each["description"], json_schema(each["parameters"]) | language) for each in row["function"]]
        calls = [AcceptedCall(*each) for call in answers[row["id"]] for each in call.items()]
        yield row["id"], calls, tools


def gold(call, tools, write=lambda value, schema: value, *, fully=True):
    """The call that gives the first accepted value of each argument of the schema, or only of those that must be given."""
    parameters = next(tool.parameters for tool in tools if tool.name == call.name)
    given = {}
    for key, values in call.values.items():
        stated = [value for value in values if value != ""] or [value for value in values if key in parameters["required"]]
        if stated and key in parameters["properties"] and (fully or "" not in values or key in parameters["required"]):
            given[key] = write(_chosen(stated[0]), parameters["properties"][key])
    return ToolCall(call.name, given)


def _chosen(value):
    if isinstance(value, dict) and all(isinstance(options, list) for options in value.values()):
        return {key: options[0] for key, options in value.items() if options[0] != ""}
    return [_chosen(item) if isinstance(item, dict) else item for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("fully", [True, False])
@pytest.mark.parametrize("category", PYTHON)
def test_every_gold_answer_is_right_but_for_the_unpassable(shared_data, category, fully):
    for name, calls, tools in items(shared_data / "bfcl_v4", category):
        fault = explain_bfcl([gold(call, tools, fully=fully) for call in calls], calls, tools)
        assert fault is None or name in UNPASSABLE, f"{name}: {fault}"


def test_no_gold_answer_is_right_for_the_unpassable(shared_data):
    for category in ("live_simple", "live_multiple"):
        for name, calls, tools in items(shared_data / "bfcl_v4", category):
            if name in UNPASSABLE:
                assert explain_bfcl([gold(call, tools) for call in calls], calls, tools) is not None, name


@pytest.mark.parametrize("category", LANGUAGES)
def test_every_gold_answer_is_right_as_literals(shared_data, category):
    for name, calls, tools in items(shared_data / "bfcl_v4", category):
        written = [gold(call, tools, LITERALS[category]) for call in calls]
        fault = explain_bfcl(written, calls, tools)
        assert (fault is not None) == (name in UNPASSABLE), f"{name}: {fault}"


def java(value, schema):
    """A value as a model writes it in Java."""
    word, items = schema.get("x_type", schema.get("type")), schema.get("items", {})
    if isinstance(value, dict):
        return f"new HashMap<String, Object>() {{{{ {' '.join(f'put({json.dumps(k)}, {_json(v)});' for k, v in value.items())} }}}}"
    if isinstance(value, list):
        bare = word == "Array" or items.get("x_type") == "any"  # strings of those keep their quotes
        parts = ", ".join(
            item if bare and isinstance(item, str) else java(item, items) if not isinstance(item, str) else _json(item) for item in value
        )
        return f"new Object[]{{{parts}}}" if word == "Array" else f"new ArrayList<Object>(Arrays.asList({parts}))"
    return value if isinstance(value, str) else _json(value) + ("L" if word == "long" else "")


def javascript(value, schema):
    """A value as a model writes it in JavaScript."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_json(item)}" for key, item in value.items()) + "}"
    return value if isinstance(value, str) else _json(value)


def _json(value):
    return json.dumps(value, default=float)


LITERALS = {"simple_java": java, "simple_javascript": javascript}


def test_every_verdict_is_the_official_one(shared_data):
    folder = shared_data / "bfcl_v4"
    known = {name: (calls, tools) for category in PYTHON for name, calls, tools in items(folder, category)}
    wrong = []
    for row in lines(folder / "verifier_pairs.jsonl"):
        predicted = [ToolCall(call["name"], call["arguments"]) for call in row["calls"]]
        right = explain_bfcl(predicted, *known[row["id"]]) is None
        assert bfcl_accepts(predicted, *known[row["id"]]) is right
        if right != row["bfcl_valid"] and (row["id"], row["label"]) != GREEDY:
            wrong.append((row["id"], row["label"]))
    assert wrong == []


def test_the_order_of_the_benchmarks_own_ambiguous_item_does_not_matter(shared_data):
    calls, tools = next((c, t) for name, c, t in items(shared_data / "bfcl_v4", "parallel") if name == GREEDY[0])
    first, *rest = (gold(call, tools) for call in calls)
    for turn in range(4):
        order = [*rest[:turn], first, *rest[turn:]]
        assert explain_bfcl(order, calls, tools) is None
        assert explain_bfcl(order[::-1], calls, tools) is None
