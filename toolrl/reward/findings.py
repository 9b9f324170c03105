"""What a mode finds in a completion: all that a reward function may ask.

    Mode.find(prompt, text) ─> Findings ─> reward functions, each a number ─> Σ weight × number

`Findings` is made for every completion, so what costs a second reading is read only where it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from toolrl.calls.fault import Fault
from toolrl.types import Prompt


class Block(NamedTuple):
    """What the block of calls says, whatever stands around it; where none can be read, neither is right."""

    match: bool
    names: bool


@dataclass(frozen=True, slots=True)
class Findings:
    """A completion as a mode sees it."""

    form: bool
    """The form is right."""
    fault: Fault | None
    """What makes it wrong under the full rules; None where form and calls are right."""
    content: bool
    """The calls are right under a lenient reading, whatever the form."""
    block: Callable[[], Block]
    """Reads the block again, and only where it is asked: few rewards need it, and none that is 0 or 1."""

    @property
    def match(self) -> bool:
        """The calls of the block equal the reference by the mode's rules, whatever stands around the block."""
        return self.fault is None or (not self.form and self.block().match)

    @property
    def names(self) -> bool:
        """The names of the block's calls are those of the reference, as a multiset."""
        return self.fault is None or self.block().names


class Mode(Protocol):
    """Rules of form and equality. Pure, total and picklable."""

    def find(self, prompt: Prompt, text: str) -> Findings:
        """Read `text` and compare it with what `prompt` asks for."""
        ...


def _right_block() -> Block:
    return Block(match=True, names=True)


RIGHT = Findings(form=True, fault=None, content=True, block=_right_block)
"""The findings of every completion that is right."""
