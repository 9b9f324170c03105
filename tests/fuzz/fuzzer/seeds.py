"""What the fuzzer starts from: prompts, completions that answer them, and call texts of other forms."""

from decimal import Decimal

from toolrl.calls.render import render_completion
from toolrl.types import AcceptedCall, Prompt, Tool, ToolCall

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "default": 3},
        "price": {"type": "number"},
        "sure": {"type": "boolean"},
        "prices": {"type": "array", "items": {"type": "number"}},
        "box": {"$ref": "#/$defs/box"},
        "when": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "kind": {"type": "string", "enum": ["a", "b"]},
    },
    "required": ["city"],
    "$defs": {"box": {"type": "object", "properties": {"w": {"type": "number"}, "box": {"$ref": "#/$defs/box"}}}},
}
PYTHON = {"type": "object", "properties": {"x": {"type": "number", "x_type": "float"}, "d": {"type": "object", "x_type": "dict"}}}
JAVA = {
    "type": "object",
    "x_language": "java",
    "properties": {"n": {"type": "integer", "x_type": "long"}, "m": {"type": "object", "x_type": "HashMap"}, "s": {"type": "string"}},
}
SCRIPT = {
    "type": "object",
    "x_language": "javascript",
    "properties": {"a": {"type": "array", "x_type": "array"}, "o": {"type": "object", "x_type": "dict"}, "b": {"type": "boolean"}},
}
TOOLS = (
    Tool("weather", "", SCHEMA),
    Tool("odd name/é", "", PYTHON),
    Tool("java.get", "", JAVA),
    Tool("script", "", SCRIPT),
    Tool("bare", "", {}),
)
ONE = (ToolCall("weather", {"city": "Zürich", "days": 5, "price": Decimal("1.50"), "box": {"w": 2, "box": {"w": Decimal("3.0")}}}),)
MANY = (
    *ONE,
    ToolCall("weather", {"city": 'a "quoted" \\ </tool_call> 📦', "prices": [1, Decimal("2.5"), -3], "sure": True, "when": None}),
    ToolCall("odd name/é", {"x": Decimal("1e3"), "d": {"k": [1, "1", {"z": False}]}}),
    ToolCall("java.get", {"n": "42L", "m": "new HashMap<>()", "s": "x"}),
    ToolCall("script", {"a": "[1, 'b', {c: true}]", "o": "{a: 1}", "b": "true"}),
    *ONE,
)
ACCEPTED = (
    AcceptedCall("weather", {"city": ("Zürich", "Zurich"), "days": (5, 3, ""), "price": (Decimal("1.5"), ""), "box": ({"w": (2, 3)}, "")}),
)


def _prompt(name: str, reference: tuple[ToolCall, ...], accepted: tuple[AcceptedCall, ...] = ()) -> Prompt:
    return Prompt(name, "fuzz", (), TOOLS, reference, accepted=accepted)


PROMPTS = (_prompt("one", ONE), _prompt("many", MANY), _prompt("none", ()), _prompt("accepted", ONE, ACCEPTED))
COMPLETIONS = (
    *(render_completion(calls, "The tool <fits>, as it says.") for calls in (ONE, MANY, (), MANY[::-1], MANY[3:5])),
    "<think>\nNo tool fits.\n</think>\nI cannot help with that.",
    '```json\n[{"name": "weather", "parameters": {"city": "Zürich", "days": "5"}}]\n```',
    '<|im_start|>assistant\n<tool_call>{"name": "weather", "arguments": "{\\"city\\": \\"x\\"}"}</tool_call>\n<tool_call>{}</tool_call>',
    '{"tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"city": "x"}}}]}',
)
BRACKETS = (
    '[weather(city="Zürich", days=5, price=1.5, box={"w": 2, "box": {"w": 3.0}})]',
    "[Get Weather(city='Paris (France)', days=3), other.fn(x=[1, 2], y={'a': (1,)}, z=None), a/b-c?(t=true, s=\"it's\")]",
    "[]",
)
JAVA_TEXTS = (
    'new ArrayList<>(Arrays.asList(1, 2L, 3.5f, "a", true, null))',
    'new HashMap<String, Object>() {{ put("a", 1); put("b", new int[]{1, 2}); }}',
    "'c'",
    "-0x1F",
    "42L",
)
SCRIPT_TEXTS = (
    "{a: 1, 'b': [true, null, undefined, `x`], \"c\": {d: -1.5e3}}",
    "new Map([['a', 1]])",
    "[1, [2, [3]]]",
    '"it\'s"',
    "function(x) { return x }",
)
