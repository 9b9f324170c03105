"""The verifiers: (Prompt, text) -> Verdict, pure, total and picklable.

    text ─ parse ─> calls ─ compare with the prompt's reference ─> right, or the Fault that the verdict explains

A mode is a way to parse and a way to compare. Beside the reward every verdict says whether the form was right and
whether the content was, under a lenient reading.
"""

from __future__ import annotations

from dataclasses import dataclass

from toolrl.calls.fault import Fault, shown
from toolrl.calls.lenient import content_right, find_calls, quotes_matter
from toolrl.calls.match import explain
from toolrl.calls.paper import explain_paper, parse_paper
from toolrl.calls.parse import FENCE, Answer, Calls, parse
from toolrl.errors import ConfigError
from toolrl.protocols import Verifier
from toolrl.types import Prompt, Reason, Verdict

MODES = ("strict", "paper")
NO_CALL = ("list", "text", "either")
_RIGHT = Verdict(1.0, Reason.CORRECT, format_right=True, content_right=True)


def make_verifier(mode: str, no_call: str = "either") -> Verifier:
    """Return the verifier of a mode: strict or paper.

    `no_call` says what answers an empty reference under strict: an empty `list`, a plain `text`, or `either`; the
    paper's rules know only the list. Raises ConfigError.
    """
    problems = []
    if mode not in MODES:
        problems.append(f"reward.mode: got {mode!r}; choose one of {', '.join(MODES)}")
    if no_call not in NO_CALL:
        problems.append(f"reward.no_call: got {no_call!r}; choose one of {', '.join(NO_CALL)}")
    if problems:
        raise ConfigError(problems)
    return StrictVerifier(no_call) if mode == "strict" else PaperVerifier()


@dataclass(frozen=True, slots=True)
class StrictVerifier:
    """Reward 1 for the exact form and calls equal to the reference as data, else 0."""

    no_call: str = "either"

    def __call__(self, prompt: Prompt, text: str) -> Verdict:
        """Return the verdict on `text` as the answer to `prompt`."""
        parsed = parse(text)
        fault = parsed if isinstance(parsed, Fault) else self._misplaced(prompt, parsed)
        if fault is not None:
            return _wrong(fault, form=False, content=_says_right(prompt, text))
        calls = parsed.calls if isinstance(parsed, Calls) else ()
        fault = explain(calls, prompt.reference, prompt.tools)
        if fault is None:
            return _RIGHT
        return _wrong(fault, form=True, content=quotes_matter(calls, prompt.reference, prompt.tools))

    def _misplaced(self, prompt: Prompt, parsed: Calls | Answer) -> Fault | None:
        """Return why a form that can be right is not the one this prompt asks for."""
        if isinstance(parsed, Calls):
            if parsed.calls or prompt.reference or self.no_call != "text":
                return None
            return Fault(Reason.NO_ANSWER, expected="a plain answer without a block", got="an empty list")
        if prompt.reference or self.no_call == "list":
            reason = Reason.CODE_FENCE if parsed.text.startswith(FENCE) else Reason.NO_TOOL_CALL
            return Fault(reason, expected="<tool_call>", got=shown(parsed.text))
        return None if parsed.text else Fault(Reason.NO_ANSWER, expected="an answer after the reasoning")


@dataclass(frozen=True, slots=True)
class PaperVerifier:
    """Reward 1 by the rules of Tool-N1, surprising verdicts included, else 0."""

    def __call__(self, prompt: Prompt, text: str) -> Verdict:
        """Return the verdict on `text` as the answer to `prompt`."""
        parsed = parse_paper(text)
        fault = parsed if isinstance(parsed, Fault) else explain_paper(parsed, prompt.reference)
        if fault is None:
            return _RIGHT
        return _wrong(fault, form=not isinstance(parsed, Fault), content=_says_right(prompt, text))


def _says_right(prompt: Prompt, text: str) -> bool:
    return content_right(find_calls(text), prompt.reference, prompt.tools)


def _wrong(fault: Fault, *, form: bool, content: bool) -> Verdict:
    return Verdict(0.0, fault.reason, fault.path, fault.expected, fault.got, format_right=form, content_right=content)
