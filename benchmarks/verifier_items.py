"""What `verifier.py` measures on: small and realistic prompts with every kind of completion, and BFCL's own questions."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from toolrl.calls.render import render_completion
from toolrl.data.formats import bfcl
from toolrl.data.steps import Origin, steps
from toolrl.types import Json, Prompt, Tool, ToolCall

SHORT = "The user asks for the weather in three cities. The tool get_weather takes a city and a number of days, so I call it with both."
LONG = " ".join(
    ["The user wants several things at once; I compare each with the tools on offer, note what is required, and fill in the rest."] * 6
)
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer"},
        "detail": {"type": "number"},
        "unit": {"type": "string", "default": "celsius"},
    },
    "required": ["city"],
}
_ADDRESS = {"type": "object", "properties": {"street": {"type": "string"}, "number": {"type": "integer"}, "zip": {"type": "string"}}}
_ORDER = {
    "type": "object",
    "properties": {
        "customer": {"type": "object", "properties": {"name": {"type": "string"}, "address": _ADDRESS, "vip": {"type": "boolean"}}},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}, "price": {"type": "number"}}}},
        "deliver_on": {"type": "string"},
        "gift": {"type": "boolean", "default": False},
        "tags": {"type": "array", "items": {"type": "string"}},
        "currency": {"type": "string", "default": "EUR"},
    },
    "required": ["customer", "lines"],
}
SMALL_TOOLS = (Tool("get_news", "", {}), Tool("get_time", "", {}), Tool("get_weather", "", SCHEMA))
TEN_TOOLS = (*(Tool(f"service_{i}", "", SCHEMA) for i in range(8)), Tool("get_weather", "", SCHEMA), Tool("order.place", "", _ORDER))
SMALL = tuple(ToolCall("get_weather", {"city": city, "days": 3, "detail": 1}) for city in ("Paris", "Oslo", "Rome"))
NESTED = tuple(
    ToolCall(
        "order.place",
        {
            "customer": {"name": name, "address": {"street": "Rue de la Paix", "number": 12, "zip": "75002"}, "vip": True},
            "lines": [{"sku": "2024-A7", "price": Decimal("19.90")}, {"sku": "B-12", "price": 5}],
            "deliver_on": "2024-05-01",
            "tags": ["spring", "fragile"],
        },
    )
    for name in ("Paris", "Noor", "Émile")
)


@dataclass(frozen=True)
class Case:
    """A prompt and the texts that answer it, by what they are."""

    name: str
    parallel: bool
    prompt: Prompt
    texts: Mapping[str, str]


def cases() -> Iterator[Case]:
    """The built-in prompts: small ones, and realistic ones with 150 tokens of reasoning, ten tools and nested arguments."""
    for name, calls, tools, think in (("small", SMALL, SMALL_TOOLS, SHORT), ("realistic", NESTED, TEN_TOOLS, LONG)):
        for count in (1, 3):
            prompt = Prompt("p", "benchmark", (), tools, calls[:count])
            yield Case(name, count > 1, prompt, _completions(calls[:count], think))


def _completions(calls: tuple[ToolCall, ...], think: str) -> dict[str, str]:
    right = render_completion(calls, think)
    found = {
        "right": right,
        "wrong value": right.replace("Paris", "Lyon"),
        "wrong name": render_completion([replace(calls[0], name="get_time"), *calls[1:]], think),
        "missing argument": render_completion([_without_last(calls[0]), *calls[1:]], think),
        "extra call": render_completion([*calls, calls[0]], think),
        "wrong form": right.replace("<tool_call>", ""),
        "no reasoning": right.partition("</think>\n")[2],
        "plain answer": f"<think>\n{think}\n</think>\nI am sorry, but none of the tools can do that.",
        "cut short": right[: -len(right) // 8],
        "empty": "",
    }
    return found | ({"other order": render_completion(calls[::-1], think)} if len(calls) > 1 else {})


def _without_last(call: ToolCall) -> ToolCall:
    return replace(call, arguments=dict([*call.arguments.items()][:-1]))


@dataclass(frozen=True)
class Question:
    """A question of BFCL with one list of calls, in our form and in the one its checker reads."""

    category: str
    prompt: Prompt
    text: str
    official: Mapping[str, Json]
    """`{category, function, ground_truth, text}`, the text being what a model that is prompted would write."""


SINGLE = ("simple_python", "multiple", "live_simple", "live_multiple")
PARALLEL = ("parallel", "parallel_multiple", "live_parallel", "live_parallel_multiple")
_FUNCTION = {
    "name": "get_weather",
    "description": "The weather of some days.",
    "parameters": {
        "type": "dict",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "detail": {"type": "float"}, "unit": {"type": "string"}},
        "required": ["city"],
    },
}


def rows(folder: Path | None) -> Iterator[tuple[str, dict[str, Json]]]:
    """BFCL's rows with their answers, by category; without its folder two of our own in the same form."""
    if folder is None:
        for category, cities in (("simple_python", ["Paris"]), ("parallel", ["Paris", "Oslo", "Rome"])):
            truth = [{"get_weather": {"city": [city], "days": [3], "detail": [1.5, 2], "unit": ["celsius", ""]}} for city in cities]
            question = [[{"role": "user", "content": "How is the weather?"}]]
            yield category, {"id": f"{category}_0", "question": question, "function": [_FUNCTION], "ground_truth": truth}
        return
    for category in (*SINGLE, *PARALLEL):
        name = f"BFCL_v4_{category}.json"
        truth = {row["id"]: row["ground_truth"] for row in map(json.loads, (folder / "possible_answer" / name).read_text().splitlines())}
        for row in map(json.loads, (folder / name).read_text().splitlines()):
            yield category, {**row, "ground_truth": truth[row["id"]]}


def questions(folder: Path | None) -> Iterator[tuple[str, Question]]:
    """Each question answered rightly and with a wrong value, but those whose names cannot be written as a Python call."""
    for category, row in rows(folder):
        (prompt,) = steps(bfcl.read(row, Origin(row["id"], "BFCL")))
        first, *others = prompt.reference
        for kind, calls in (("right", prompt.reference), ("wrong value", (_corrupted(first), *others))):
            written = f"[{', '.join(map(_python, calls))}]"
            if all(_is_writable(call) for call in calls):
                official = {"category": category, "function": row["function"], "ground_truth": row["ground_truth"], "text": written}
                yield kind, Question(category, prompt, render_completion(calls, SHORT), official)


def _corrupted(call: ToolCall) -> ToolCall:
    """Change the first argument, or invent one."""
    key, value = next(iter(call.arguments.items()), ("invented", "x"))
    wrong = value + 1 if isinstance(value, int | float) and not isinstance(value, bool) else "none of these"
    return replace(call, arguments={**call.arguments, key: wrong})


def _is_writable(call: ToolCall) -> bool:
    return all(part.isidentifier() for part in call.name.split(".")) and all(map(str.isidentifier, call.arguments))


def _python(call: ToolCall) -> str:
    return f"{call.name}({', '.join(f'{key}={value!r}' for key, value in call.arguments.items())})"
