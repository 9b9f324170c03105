"""The plugin that a vLLM server loads: its reasoning parser and its tool parser for our format, both over `reading`.

    vLLM ─ text of one answer ─> ToolrlReasoningParser ─ the rest ─> ToolrlToolParser

A request without tools, or with `tool_choice: none`, has the rest back as content, untouched. `tool_choice: required`, or one function by
name, is read like `auto`: the model is not forced, since a grammar would not be what it learned.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any

from vllm.entrypoints.generate.base.protocol import (
    DeltaFunctionCall,
    DeltaMessage,
    DeltaToolCall,
    ExtractedToolCallInformation,
    FunctionCall,
    ToolCall,
)
from vllm.reasoning import ReasoningParser, ReasoningParserManager
from vllm.renderers.chat_utils import make_tool_call_id
from vllm.tool_parsers import ToolParser, ToolParserManager

from toolrl.calls.parse import END_THINK
from toolrl.calls.render import to_json
from toolrl.serving.reading import Answer, Thought, read_answer, read_thought

NAME = "toolrl"
_TAG_TOKENS = len(END_THINK)
"""Most tokens that may spell the end of the reasoning."""


class ToolrlReasoningParser(ReasoningParser):  # type: ignore[misc]
    """Parts the reasoning from the rest. One for each answer."""

    engine_based_streaming = True
    """The protocol in which pieces come once and what is held is asked for at the end."""

    def __init__(self, tokenizer: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(tokenizer, *args, **kwargs)
        self._thought = Thought()

    def adjust_request(self, request: Any) -> Any:
        """Have the text decoded as training decodes it: with every special token that is no end."""
        request.skip_special_tokens = False
        return request

    def extract_reasoning(self, model_output: str, request: Any) -> tuple[str | None, str | None]:
        """Return reasoning and rest of a whole answer."""
        reasoning, rest = read_thought(model_output)
        return reasoning or None, rest or None

    def extract_reasoning_streaming(
        self,
        previous_text: str,
        current_text: str,
        delta_text: str,
        previous_token_ids: Sequence[int],
        current_token_ids: Sequence[int],
        delta_token_ids: Sequence[int],
    ) -> DeltaMessage | None:
        """Return how reasoning and rest go on."""
        return _message(*self._thought.feed(delta_text))

    def has_engine_confirmed_reasoning_end(self) -> bool:
        """Whether the tool parser is to have what comes now."""
        return self._thought.ended

    def finish_streaming(self) -> DeltaMessage | None:
        """Return what was held, at the end of the text."""
        return _message(*self._thought.finish())

    def is_reasoning_end(self, input_ids: Sequence[int]) -> bool:
        """Return False: asked of a prompt, which never begins the answer's reasoning."""
        return False

    def is_reasoning_end_streaming(self, input_ids: Sequence[int], delta_ids: Iterable[int]) -> bool:
        """Whether the last tokens end the reasoning: from there on a response format that was asked for holds."""
        return END_THINK in self._decode(input_ids[-len(list(delta_ids)) - _TAG_TOKENS :])

    def extract_content_ids(self, input_ids: list[int]) -> list[int]:
        """Return tokens that nobody asks for, since the text is what is read."""
        return input_ids

    def count_reasoning_tokens(self, token_ids: Sequence[int]) -> int:
        """Return how many tokens there are up to the end of the reasoning; all, where it does not end."""
        if not read_thought(self._decode(token_ids))[0]:
            return 0
        counts = range(1, len(token_ids))
        return 1 + bisect_left(counts, True, key=lambda count: END_THINK in self._decode(token_ids[:count]))

    def _decode(self, token_ids: Sequence[int]) -> str:
        return str(self.model_tokenizer.decode(list(token_ids), skip_special_tokens=False))


class ToolrlToolParser(ToolParser):  # type: ignore[misc]
    """Reads content and calls of what follows the reasoning. One for each answer."""

    engine_based_streaming = True
    supports_required_and_named = False

    def __init__(self, tokenizer: Any, tools: Any = None) -> None:
        super().__init__(tokenizer, tools)
        self._answer = Answer()

    def extract_tool_calls(self, model_output: str, request: Any) -> ExtractedToolCallInformation:
        """Return content and calls of a whole answer."""
        content, calls = read_answer(model_output) if _may_call(request) else (model_output, ())
        functions = [FunctionCall(name=call.name, arguments=to_json(call.arguments)) for call in calls]
        tool_calls = [ToolCall(function=function) for function in functions]
        return ExtractedToolCallInformation(tools_called=bool(calls), tool_calls=tool_calls, content=content or None)

    def extract_tool_calls_streaming(
        self,
        previous_text: str,
        current_text: str,
        delta_text: str,
        previous_token_ids: Sequence[int],
        current_token_ids: Sequence[int],
        delta_token_ids: Sequence[int],
        request: Any,
    ) -> DeltaMessage | None:
        """Return how the content goes on."""
        return _message("", self._answer.feed(delta_text) if _may_call(request) else delta_text)

    def finish_streaming(self) -> DeltaMessage | None:
        """Return the end of the content and the calls, at the end of the text."""
        content, calls = self._answer.finish()
        deltas = [
            DeltaToolCall(
                index=index,
                id=make_tool_call_id(),
                type="function",
                function=DeltaFunctionCall(name=call.name, arguments=to_json(call.arguments)),
            )
            for index, call in enumerate(calls)
        ]
        return DeltaMessage(content=content or None, tool_calls=deltas) if content or deltas else None


def _may_call(request: Any) -> bool:
    return bool(request.tools) and request.tool_choice != "none"


def _message(reasoning: str, content: str) -> DeltaMessage | None:
    return DeltaMessage(reasoning=reasoning or None, content=content or None) if reasoning or content else None


ReasoningParserManager.register_module(NAME, module=ToolrlReasoningParser)
ToolParserManager.register_module(NAME, module=ToolrlToolParser)
