"""What the counts of a report mean, in words for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DROPPED: Final[Mapping[str, str]] = {
    "unreadable": "The row could not be read.",
    "name_not_offered": "The reference calls a tool that is not on offer.",
    "unknown_argument": "The reference gives an argument that the schema does not have.",
    "missing_argument": "The reference leaves out an argument that the schema requires.",
    "wrong_type": "A value is of another type than the schema says, and what was meant is not certain.",
    "not_in_enum": "A value is none of those that the schema lists.",
    "outside_schema": "A value breaks another rule of the schema.",
    "invalid_schema": "A tool's parameters are no JSON schema.",
    "no_call": "No call is expected, and such prompts were not asked for.",
    "contaminated": "The prompt stands in a benchmark.",
    "too_long": "The prompt is longer than the limit.",
    "duplicate": "An earlier prompt is the same.",
    "conflicting": "An earlier prompt is the same and has another reference.",
    "near_duplicate": "An earlier prompt is almost the same.",
}
REPAIRED: Final[Mapping[str, str]] = {
    "quoted_number": "A number in quotes, where the schema says number.",
    "quoted_boolean": "True or false in quotes, where the schema says boolean.",
    "quoted_json": "A list or an object in quotes.",
    "integral_fraction": "A whole number written with a fraction of zero, where the schema says integer.",
    "choice_spelling": "A listed choice in another case or with stray space.",
    "null_left_out": "Null for an argument that may be left out.",
    "default_left_out": "A value that does not fit, but is the default the schema states for an optional argument.",
    "number_as_text": "A number, where the schema says text and the conversation has these digits.",
}
AUGMENTED: Final[Mapping[str, str]] = {
    "drop_tools": "The tools of the answer were taken away, so no call is right.",
    "mask_names": "Tools and parameters were given names that say nothing.",
}


def label(name: str) -> str:
    """Return a name of the report as it is read: `too_long` is too long."""
    return name.replace("_", " ")
