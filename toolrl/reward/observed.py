"""Beside every reward: would BFCL's checker accept the calls?

Asked of the calls that the strict form holds, or else of those found leniently, so that form does not enter. It changes no
reward: shown beside it, it tells how much of what is wrong is wrong only by the stricter rules, and what BFCL would forgive.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from toolrl.calls.bfcl import accepted_of, bfcl_accepts
from toolrl.calls.lenient import find_calls
from toolrl.calls.parse import Calls, parse
from toolrl.protocols import Verifier
from toolrl.types import Prompt, Verdict


@dataclass(frozen=True, slots=True)
class Observed:
    """A verifier whose verdicts also say `bfcl_right`."""

    verifier: Verifier

    def __call__(self, prompt: Prompt, text: str) -> Verdict:
        """Return the verdict on `text` as the answer to `prompt`."""
        return replace(self.verifier(prompt, text), bfcl_right=bfcl_right(prompt, text))


def bfcl_right(prompt: Prompt, text: str) -> bool:
    """Whether BFCL's checker accepts the calls of `text`; where none can be found, it does not."""
    parsed = parse(text)
    calls = parsed.calls if isinstance(parsed, Calls) else find_calls(text)
    return calls is not None and bfcl_accepts(calls, accepted_of(prompt), prompt.tools)
