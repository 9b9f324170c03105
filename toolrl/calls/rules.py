"""The rule behind each reason, in a sentence: what a completion must be so that it is not the reason of its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from toolrl.types import Reason

RULES: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.CORRECT: "the form is right and the calls answer the reference",
        Reason.NO_THINK: "a completion begins with <think>",
        Reason.EMPTY_THINK: "there is reasoning between <think> and </think>",
        Reason.UNCLOSED_THINK: "the reasoning ends with </think>",
        Reason.REVERSED_TAGS: "the reasoning comes before the calls",
        Reason.MULTIPLE_THINK: "there is one reasoning, at the beginning",
        Reason.NO_TOOL_CALL: "calls stand in <tool_call> … </tool_call>",
        Reason.NO_ANSWER: "a prompt that no tool fits is answered as reward.no_call says",
        Reason.MULTIPLE_TOOL_CALL: "there is one block of calls",
        Reason.UNCLOSED_TOOL_CALL: "the block of calls ends with </tool_call>",
        Reason.CALL_INSIDE_THINK: "the block of calls stands after </think>",
        Reason.TEXT_OUTSIDE: "only white space stands around the reasoning and the block",
        Reason.CODE_FENCE: "the calls stand in no code fence",
        Reason.INVALID_JSON: "the block is JSON",
        Reason.DUPLICATE_KEY: "an object names each key once",
        Reason.NOT_A_LIST: "the block is a list of calls, also where there is one",
        Reason.DOUBLE_ENCODED: "calls and arguments are JSON values, not text that holds JSON",
        Reason.MALFORMED_CALL: "a call is an object with exactly `name` (text) and `arguments` (an object)",
        Reason.TOO_LARGE: "a completion stays within the caps on size, depth, digits and number of calls",
        Reason.UNEXPECTED_CALL: "where no tool fits, none is called",
        Reason.WRONG_COUNT: "there are as many calls as the reference has",
        Reason.WRONG_NAME: "a call has the name that the reference has",
        Reason.MISSING_ARGUMENT: "every argument of the reference is given, unless it equals the stated default",
        Reason.UNEXPECTED_ARGUMENT: "no argument is given that the reference has not, unless it equals the stated default",
        Reason.WRONG_TYPE: "a value has the JSON type of the reference's value",
        Reason.WRONG_VALUE: "a value equals the reference's value",
        Reason.VERIFIER_ERROR: "the verifier raised: the completion has no reward and is in no statistic",
        Reason.VERIFIER_TIMEOUT: "the verifier took longer than reward.deadline_s: the completion has no reward",
        Reason.QUARANTINED: "the prompt has cost reward.quarantine_after reward workers: it is judged no more in this run",
    }
)
