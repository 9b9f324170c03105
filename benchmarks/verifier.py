"""Verdicts per second on one core, from the text of a completion to its verdict.

    python benchmarks/verifier.py

Best of several rounds, because a shared machine only ever makes a round slower.
"""

import time

from toolrl.calls.render import render_completion
from toolrl.reward.verifier import MODES, make_verifier
from toolrl.types import Prompt, Tool, ToolCall

ROUNDS, CALLS_PER_ROUND = 15, 1000
THINK = "The user asks for the weather in three cities. The tool get_weather takes a city and a number of days, so I call it with both."
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
TOOLS = (Tool("get_news", "", {}), Tool("get_time", "", {}), Tool("get_weather", "", SCHEMA))
CITIES = ("Paris", "Oslo", "Rome")


def reference(num_calls: int) -> tuple[ToolCall, ...]:
    return tuple(ToolCall("get_weather", {"city": city, "days": 3, "detail": 1}) for city in CITIES[:num_calls])


def completions(calls: tuple[ToolCall, ...]) -> dict[str, str]:
    right = render_completion(calls, THINK)
    return {
        "right": right,
        "right, other order": render_completion(calls[::-1], THINK),
        "wrong value": right.replace("Paris", "Lyon"),
        "wrong form": right.replace("<tool_call>", ""),
    }


def per_second(verifier, prompt: Prompt, text: str) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(CALLS_PER_ROUND):
            verifier(prompt, text)
        best = min(best, time.perf_counter() - start)
    return CALLS_PER_ROUND / best


def main() -> None:
    print(f"{'mode':8}{'calls':>6}  {'completion':20}{'verdicts/s':>12}")
    for mode in MODES:
        verifier = make_verifier(mode)
        for num_calls in (1, 3):
            calls = reference(num_calls)
            prompt = Prompt("p", "benchmark", (), TOOLS, calls)
            for name, text in completions(calls).items():
                print(f"{mode:8}{num_calls:6}  {name:20}{per_second(verifier, prompt, text):12,.0f}")


if __name__ == "__main__":
    main()
