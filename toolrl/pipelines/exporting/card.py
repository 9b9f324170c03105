"""The model card of an exported folder: README.md, as the Hugging Face hub reads it.

    Card ─┬─ front matter (YAML): base model, data sets, tags, scores as a model index
          └─ page: how to ask the model, scores with intervals, how it was trained, on what data, with which versions

All that is said was read from the files of runs and evaluations; what is not known is said to be not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from toolrl import __version__
from toolrl.pipelines.exporting.datasets import hub_names, told
from toolrl.pipelines.exporting.lineage import RECORD, DataSet, Stage, public
from toolrl.pipelines.exporting.markdown import is_hub_name, table
from toolrl.pipelines.exporting.scores import Measured, Score

HOW = {"rl": "reinforcement learning with a verifiable reward (GRPO)", "sft": "supervised training on demonstrations"}
STEPS = {"rl": "batches", "sft": "optimizer steps"}
TAGS = {"rl": "grpo", "sft": "sft"}
MEASURES = {"official": "official rules", "ours": "our rules", "calls": "calls right, whatever the form", "form": "strict form"}
WEIGHTS = {"final": "final weights", "best": "best weights on held-out prompts"}
GAINS = (("reward on held-out prompts, sampled", "heldout_reward"), ("greedy", "heldout_greedy"), ("held-out loss", "heldout_loss"))
"""What a run's summary has before and after."""
_EXAMPLE = """\
```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(PATH)
model = AutoModelForCausalLM.from_pretrained(PATH, dtype="auto")
tools = [{"type": "function", "function": {"name": "get_weather", "description": "Weather of a city",
          "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]
messages = [{"role": "user", "content": "What is the weather in Oslo?"}]
prompt = tokenizer.apply_chat_template(messages, tools=tools, add_generation_prompt=True, return_tensors="pt", return_dict=True)
answer = model.generate(**prompt, max_new_tokens=1024, do_sample=False)
print(tokenizer.decode(answer[0, prompt["input_ids"].shape[1]:], skip_special_tokens=True))
```"""
_FORM = """\
```
THINK<tool_call>
[{"name": "get_weather", "arguments": {"city": "Oslo"}}]
</tool_call>
```"""
_THINK = "<think>\nThe weather of Oslo is asked for, which get_weather tells.\n</think>\n"


@dataclass(frozen=True)
class Card:
    """What a model card tells."""

    name: str
    base: str
    """The model that training began with; of a model nobody knows how it was trained, itself."""
    weights: str
    """Which weights of the last stage they are: final, best, or version N."""
    stages: tuple[Stage, ...]
    """Those of training, the first one first; none where that was not recorded."""
    reasons: bool
    """Whether the model reasons before it calls."""
    measured: tuple[Measured, ...]
    commit: str | None
    """Of toolrl where it was exported; None where that is no checkout."""


def readme(card: Card) -> str:
    """Return the content of README.md."""
    front = yaml.safe_dump(front_matter(card), sort_keys=False, allow_unicode=True, width=1000)
    stages = [_stage(number, stage, len(card.stages)) for number, stage in enumerate(card.stages, start=1)]
    parts = [_opening(card), _asking(card), _scores(card), *stages, _data(card), _making(card)]
    return f"---\n{front}---\n\n" + "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def front_matter(card: Card) -> dict[str, Any]:
    """Return what the hub reads of the card."""
    found: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": "text-generation"}
    if is_hub_name(card.base):
        found["base_model"] = card.base
    if datasets := hub_names(data for stage in card.stages for data in stage.data):
        found["datasets"] = datasets
    found["tags"] = ["tool-calling", "function-calling", "toolrl", *dict.fromkeys(TAGS[stage.command] for stage in card.stages)]
    if results := [_result(score) for each in card.measured for score in each.scores]:
        found["model-index"] = [{"name": card.name, "results": results}]
    return found


def _result(score: Score) -> dict[str, Any]:
    """Return a score as the hub's model index has it."""
    measure = f" ({MEASURES.get(score.measure, score.measure)})" if score.measure else ""
    return {
        "task": {"type": "text-generation", "name": "tool calling"},
        "dataset": {"type": score.benchmark, "name": score.benchmark},
        "metrics": [{"type": "accuracy", "name": score.name + measure, "value": round(score.value, 6)}],
    }


def _opening(card: Card) -> list[str]:
    kind = "A model that reasons and then calls tools" if card.reasons else "A model that calls tools"
    if not card.stages:
        return [f"# {card.name}", "", f"{kind}: {card.base}, with a prompt template of toolrl. How it was trained was not recorded."]
    last, how = card.stages[-1], ", then by ".join(HOW[stage.command] for stage in card.stages)
    which = f"{WEIGHTS.get(card.weights, 'weights')} of the run `{last.run}`, after {last.steps:,} {STEPS[last.command]}"
    return [f"# {card.name}", "", f"{kind}, trained from {card.base} by {how}. These are the {which}."]


def _asking(card: Card) -> list[str]:
    return [
        "## How to ask it",
        "",
        "Give the tools as `tools`: the chat template then shows them as in training, in a system message of its own, and one of yours",
        "behind it. Without tools it is the chat template of the model that training began with. `prompt.template` has the words.",
        "",
        _EXAMPLE.replace("PATH", f'"{card.name}"'),
        "",
        "The answer has this form; the list is empty where no tool fits:",
        _FORM.replace("THINK", _THINK if card.reasons else ""),
        "",
        f"`toolrl serve {card.name}` gives it OpenAI's interface, with `tool_calls` and the reasoning in a field of its own.",
    ]


def _scores(card: Card) -> list[str]:
    if not card.measured:
        return ["## Scores", "", "None were given when this card was made."]
    rows = [_score_row(score) for each in card.measured for score in each.scores]
    models = ", ".join(f"`{model}`" for model in dict.fromkeys(public(each.model) for each in card.measured))
    head = ("benchmark", "measure", "average", "value", "95 % interval", "items", "formula")
    return ["## Scores", "", *table(head, rows), "", f"Measured by `toolrl evaluate` on {models}; intervals by bootstrap over the items."]


def _score_row(score: Score) -> tuple[str, ...]:
    interval = "–" if score.low is None or score.high is None else f"{100 * score.low:.1f} to {100 * score.high:.1f} %"
    measure = MEASURES.get(score.measure, score.measure)
    return score.benchmark, measure, score.name, f"{100 * score.value:.1f} %", interval, f"{score.items:,}", score.formula


def _stage(number: int, stage: Stage, of: int) -> list[str]:
    which = f" {number} of {of}" if of > 1 else ""
    settings = [(f"`{key}`", f"`{value}`") for key, value in stage.changed.items()]
    made = ", ".join(f"{name} {version}" for name, version in stage.made_with.items())
    return [
        f"## Training{which}: {HOW[stage.command]}",
        "",
        f"{stage.steps:,} {STEPS[stage.command]} of the run `{stage.run}`.{_gains(stage)}",
        "",
        f"Settings that differ from toolrl's defaults (`{RECORD}` has all):",
        "",
        *table(("setting", "value"), settings),
        *(["", f"Made with {made}."] if made else []),
    ]


def _gains(stage: Stage) -> str:
    """Say what became better over the whole run."""
    pairs = [(what, *(((stage.summary or {}).get(f"{key}_{when}")) for when in ("before", "after"))) for what, key in GAINS]
    found = [f"{what} {before:.3f} → {after:.3f}" for what, before, after in pairs if before is not None and after is not None]
    return f" Over the whole run: {'; '.join(found)}." if found else ""


def _data(card: Card) -> list[str]:
    sets: dict[str, DataSet] = {each.name: each for stage in reversed(card.stages) for each in reversed(stage.data)}
    return ["## Data", *(line for each in reversed(sets.values()) for line in ("", *told(each)))] if sets else []


def _making(card: Card) -> list[str]:
    commit = f", commit {card.commit}" if card.commit else ""
    recipe = " The recipe is that of Tool-N1 (arXiv 2505.00024)." if any(stage.command == "rl" for stage in card.stages) else ""
    return ["## Made by", "", f"toolrl {__version__}{commit}.{recipe}"]
