"""Prompts of the demo: a request of one or two calls among two to five tools, some of them near misses.

Everything is a pure function of (split, seed). The split is decided by *what* is asked (the capabilities and the values, hashed), not by
the wording: neither a held-out request nor a paraphrase of it occurs in training.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

from toolrl.data.demo.catalog import CATALOG
from toolrl.data.demo.vocabulary import Capability
from toolrl.types import Json, Message, Prompt, Tool, ToolCall

SPLITS = ("train", "heldout")
HELDOUT_SHARE = 1 / 8
"""Of all that can be asked."""
TWO_CALL_SHARE = 0.25
MAX_TOOLS = 5
SAME_DOMAIN_SHARE = 0.4
"""Of the distractors: tools that a model which reads only the topic would mistake for the right one."""
OPTIONAL_SHARE = 0.5

_SINGLE = ("{}", "please {}", "could you {}?", "{}, please", "I want you to {}", "can you {}?", "hey, {}", "I would like you to {}")
_DOUBLE = ("{} and {}", "{} and then {}", "first {}, then {}", "please {} and {}", "could you {} and also {}?", "{}, after that {}")


@dataclass(frozen=True, slots=True)
class _Asked:
    """One thing that is asked: the tool as it is named in this prompt, the text, and the values by slot."""

    capability: Capability
    tool: Tool
    text: str
    call: ToolCall
    values: Mapping[str, Json]


def demo_prompts(split: str, rows: int, seed: int = 0) -> Iterator[Prompt]:
    """Yield `rows` prompts of a split (`train` or `heldout`); fewer rows are a prefix of more."""
    assert split in SPLITS, split
    random = Random(f"demo {split} {seed}")
    for row in range(rows):
        asked = _draw_asked(random)
        while _split(asked) != split:
            asked = _draw_asked(random)
        yield _prompt(f"demo-{split}-{seed}-{row}", asked, random)


def _draw_asked(random: Random) -> tuple[_Asked, ...]:
    num_calls = 2 if random.random() < TWO_CALL_SHARE else 1
    return tuple(_ask(capability, random) for capability in random.sample(CATALOG, num_calls))


def _ask(capability: Capability, random: Random) -> _Asked:
    """Name a capability's tool, word a request for it and write the call that answers it."""
    names = {slot: random.choice(argument.aliases) for slot, argument in capability.arguments.items()}
    template = re.sub(r"\[(.*?)\]", lambda part: part[1] if random.random() < OPTIONAL_SHARE else "", random.choice(capability.requests))
    slots = [slot for slot in names if f"{{{slot}}}" in template]
    drawn = {slot: capability.arguments[slot].kind.draw(random) for slot in slots}
    tool = _tool(capability, names, random)
    return _Asked(
        capability=capability,
        tool=tool,
        text=template.format(**{slot: text for slot, (_, text) in drawn.items()}),
        call=ToolCall(tool.name, {names[slot]: value for slot, (value, _) in drawn.items()}),
        values={slot: value for slot, (value, _) in drawn.items()},
    )


def _tool(capability: Capability, names: Mapping[str, str], random: Random) -> Tool:
    schema = {names[slot]: dict(argument.kind.schema) for slot, argument in capability.arguments.items()}
    required = [names[slot] for slot in names if slot not in capability.optional]
    parameters = {"type": "object", "properties": schema, "required": required}
    return Tool(name=random.choice(capability.names), description=f"A {capability.domain} tool.", parameters=parameters)


def _split(asked: tuple[_Asked, ...]) -> str:
    """Hash what is asked, in any order and any wording, into a split."""
    parts = sorted(f"{a.capability.names[0]}{sorted((slot, str(value)) for slot, value in a.values.items())}" for a in asked)
    digest = hashlib.sha256("\n".join(parts).encode()).digest()
    return "heldout" if int.from_bytes(digest[:8], "big") < HELDOUT_SHARE * 2**64 else "train"


def _prompt(prompt_id: str, asked: tuple[_Asked, ...], random: Random) -> Prompt:
    wording = random.choice(_SINGLE if len(asked) == 1 else _DOUBLE)
    tools = [a.tool for a in asked] + _distractors(asked, random)
    random.shuffle(tools)
    return Prompt(
        id=prompt_id,
        source="demo",
        messages=(Message("user", wording.format(*(a.text for a in asked))),),
        tools=tuple(tools),
        reference=tuple(a.call for a in asked),
        dialogue=prompt_id,
    )


def _distractors(asked: tuple[_Asked, ...], random: Random) -> list[Tool]:
    """Other tools, so that two to five are on offer in all."""
    taken = [a.capability for a in asked]
    domains = {c.domain for c in taken}
    chosen: list[Tool] = []
    for _ in range(random.randint(2, MAX_TOOLS) - len(asked)):
        near = random.random() < SAME_DOMAIN_SHARE
        pool = [c for c in CATALOG if c not in taken and (c.domain in domains) == near]
        capability = random.choice(pool or [c for c in CATALOG if c not in taken])
        taken.append(capability)
        chosen.append(_tool(capability, {slot: random.choice(a.aliases) for slot, a in capability.arguments.items()}, random))
    return chosen
