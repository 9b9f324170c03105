"""A chat completion as OpenAI's interface has it: the request for an ask, and the reply in what comes back.

    messages, ask ─ request ─> body ─> endpoint ─> body ─ read_reply ─> Reply
                       ^ Dialect: what this endpoint has refused so far

Every field of an answer is looked at before it is believed: what calls itself compatible answers with anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from toolrl.errors import ReplyError
from toolrl.rollout.replies import Ask, Reply

Turn = Mapping[str, str]
"""`{"role", "content"}`."""

MAX_SEED = 2**31
"""Seeds are sent below it: some servers hold them in 32 bits."""
THINK, UNTHINK = "<think>", "</think>"
_REASONING = ("reasoning_content", "reasoning")
"""Where servers that part reasoning from the answer put it."""
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_SHOWN = 80


class UnreadableError(ValueError):
    """An answer that is none."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What an endpoint takes."""

    seed: bool = True
    """A seed."""
    max_tokens: str = "max_tokens"
    """Its name for the longest completion; newer models of OpenAI's want `max_completion_tokens`."""
    tool_turns: bool = True
    """Turns of the role `tool` without the id of a call; else they are turns of the user, as Qwen's own chat template writes them."""

    def simpler(self, told: str, messages: Sequence[Turn]) -> Dialect | None:
        """Return the dialect to try after a refusal that says `told`; None where it is not about that."""
        if self.seed and _names("seed", told):
            return replace(self, seed=False)
        if self.max_tokens == "max_tokens" and _names("max_completion_tokens", told):
            return replace(self, max_tokens="max_completion_tokens")
        if self.tool_turns and any(turn["role"] == "tool" for turn in messages):
            return replace(self, tool_turns=False)
        return None


def request(model: str, messages: Sequence[Turn], ask: Ask, dialect: Dialect) -> dict[str, Any]:
    """Return the body of a request."""
    body = {
        "model": model,
        "messages": [dict(turn) for turn in (messages if dialect.tool_turns else _without_tool_turns(messages))],
        "temperature": ask.sampling.temperature,
        dialect.max_tokens: ask.sampling.max_tokens,
    }
    if ask.sampling.top_p < 1:
        body["top_p"] = ask.sampling.top_p
    if dialect.seed:
        body["seed"] = ask.seed % MAX_SEED
    return body


def read_reply(body: bytes) -> Reply:
    """Return the reply in the body of an answer.

    Reasoning that the server has parted from the answer is put back in front of it, so that the verifier sees what the model wrote.
    Raises UnreadableError where there is no answer in it, and ReplyError where it was withheld.
    """
    match found := read_json(body):
        case {"choices": [{"message": {} as message} as choice, *_]}:
            pass
        case {"error": error} if error:
            raise UnreadableError(f"an error in place of an answer: {shown(error)}")
        case _:
            raise UnreadableError(f"no choices in {shown(found)}")
    content, finish = message.get("content"), choice.get("finish_reason") or "stop"
    reasoning = next((message[key] for key in _REASONING if isinstance(message.get(key), str) and message[key].strip()), "")
    if not isinstance(content, str | None) or not isinstance(finish, str):
        raise UnreadableError(f"expected text, got {shown(choice)}")
    if not content and not reasoning:
        if finish == "content_filter":
            raise ReplyError("withheld by the endpoint's filter")
        if finish != "length":  # hidden reasoning may take all tokens there are
            raise UnreadableError(f"an empty answer: {shown(choice)}")
    text = _HALF_PAIR.sub("\ufffd", _whole(reasoning, content or ""))
    return Reply(text, finish, *(_count(found, key) for key in ("prompt_tokens", "completion_tokens")))


def read_json(body: bytes) -> Any:
    """Return the value of a body. Raises UnreadableError."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"no JSON: {shown(body.decode(errors='replace'))}") from error


def shown(value: Any) -> str:
    """Return the beginning of a text or of a value's JSON, in one line."""
    text = " ".join((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).split())
    plain = "".join(char if char.isprintable() else " " for char in text) or "nothing"
    return plain if len(plain) <= _SHOWN else plain[: _SHOWN - 1] + "…"


def _whole(reasoning: str, content: str) -> str:
    if not reasoning or THINK in content:
        return content
    return f"{THINK}\n{reasoning.strip()}\n{UNTHINK}\n{content}" if content else f"{THINK}\n{reasoning}"  # cut short inside


def _count(found: Mapping[str, Any], key: str) -> int:
    usage = found.get("usage")
    number = usage.get(key) if isinstance(usage, dict) else None
    return number if type(number) is int and number >= 0 else 0


def _names(word: str, told: str) -> bool:
    return re.search(rf"(?<![\w-]){word}(?![\w-])", told) is not None


def _without_tool_turns(messages: Sequence[Turn]) -> list[Turn]:
    turns: list[Turn] = []
    before = ""
    for turn in messages:
        role, content = turn["role"], turn["content"]
        if role == "tool":
            content = f"<tool_response>\n{content}\n</tool_response>"
            if before == "tool":
                content = f"{turns.pop()['content']}\n{content}"
        turns.append({"role": "user" if role == "tool" else role, "content": content})
        before = role
    return turns
