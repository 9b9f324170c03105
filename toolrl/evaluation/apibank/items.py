"""Steps of API-Bank -> Items: the prompt of training, the label, and where the label's text means another value that value too.

Every value of a label is text, "2" for a number and "['Ann']" for a list. What upstream's API read it as stands in the dialogue's result,
and is right as well: a model that follows the schema writes 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from toolrl.calls.match import kind_of
from toolrl.data.labels import contradiction
from toolrl.errors import DataError
from toolrl.evaluation.apibank.dialogues import SEARCHER, Catalogue, Step
from toolrl.evaluation.benchmark import Item, Known
from toolrl.types import AcceptedCall, Json, Prompt, Tool

SOURCE: Final = "apibank"
LEVEL_1, SEARCHES, CALLS = "level1", "level2_search", "level2_call"
CATEGORIES: Final = (LEVEL_1, SEARCHES, CALLS)


def to_item(step: Step, catalogue: Catalogue) -> Item:
    """Return a step as an item. Raises DataError where an API on offer has no schema."""
    prompt = Prompt(
        id=step.id,
        source=SOURCE,
        messages=step.history,
        tools=tuple(_tool(name, step, catalogue) for name in step.offered),
        reference=(step.call,),
        dialogue=step.dialogue,
        accepted=_accepted(step),
    )
    return Item(step.id, category_of(step), prompt)


def category_of(step: Step) -> str:
    """Return the category of a step: a search is one of its own, since what it looks for can be said in many ways."""
    if step.level == 1:
        return LEVEL_1
    return SEARCHES if step.call.name == SEARCHER else CALLS


def doubt(item: Item) -> Known | None:
    """Return why a label contradicts what its prompt offers, or None."""
    found = contradiction(item.prompt.reference, item.prompt.tools)
    if found is None:
        return None
    also = "; the value that upstream's API reads it as is right too" if item.prompt.accepted else ""
    return Known(item.id, f"the label contradicts the schema: {found.path}: {found.detail}{also}")


def _tool(name: str, step: Step, catalogue: Catalogue) -> Tool:
    tool = catalogue.get((step.level, name)) or next((tool for (_, known), tool in catalogue.items() if known == name), None)
    if tool is None:
        raise DataError(f"{step.id}: no row of unified.jsonl has the schema of {name}; give the whole file")
    return tool


def _accepted(step: Step) -> tuple[AcceptedCall, ...]:
    """Return the label with every value in both forms; nothing where the two are the same."""
    read = step.result.get("input")
    if not isinstance(read, Mapping) or not any(_differs(value, read.get(name)) for name, value in step.call.arguments.items()):
        return ()
    values = {
        name: (value, read[name]) if _differs(value, read.get(name)) else (value,) for name, value in step.call.arguments.items()
    }  # fmt: skip
    return (AcceptedCall(step.call.name, values),)


def _differs(written: Json, read: Json) -> bool:
    return read is not None and kind_of(written) != kind_of(read)
