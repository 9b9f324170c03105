"""The samples of every prompt: which are needed, what the verifier says of each, which are kept.

    replies ─ missing ─> Asks ─> … ─> reply ─ take ─> verdict, and the Ask that it makes necessary
                                        └─ kept ─> (prompt, sample), in the order of the prompts

All of it is a function of the prompts, the settings and the replies, never of their order or of time: a resumed distillation keeps what
an uninterrupted one does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from toolrl.rollout.replies import Ask, Key, Reply
from toolrl.types import Prompt, Reason, Sampling, Verdict

FIRST, SHORTEST = "first", "shortest"
"""Values of `data.keep`; with any other all are kept."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What is remembered of a verdict."""

    reason: Reason
    right: bool
    """Right by the rules of the mode, and rewarded: a function of the user's can refuse what the mode accepts."""


class Candidates:
    """Samples of prompts and their verdicts.

    Args:
        prompts: Their ids are unique.
        replies: Those that are there; each that comes is in it before it is taken.
        samples: Most samples of a prompt.
        keep: A `data.keep`.
        sampling: How one is sampled.
        seed: Of the run.
        judge: The verdict on a text as the answer to a prompt.
    """

    def __init__(
        self,
        prompts: Sequence[Prompt],
        replies: Mapping[Key, Reply],
        *,
        samples: int,
        keep: str,
        sampling: Sampling,
        seed: int,
        judge: Callable[[Prompt, str], Verdict],
    ) -> None:
        self.prompts = tuple(prompts)
        self.replies = replies
        self.samples = samples
        self.judged: dict[Key, Judged] = {}
        """Of every reply that was taken."""
        self.right: set[str] = set()
        """Ids of the prompts with a right sample."""
        self._keep, self._sampling, self._seed, self._judge = keep, sampling, seed, judge

    def missing(self) -> list[Ask]:
        """Judge the replies that are there, and return what is still to be asked.

        With `first` that is one sample of each prompt without a right one, first samples first. Otherwise all of a prompt stand together,
        since engines and endpoints compute the prompt once for them.
        """
        if self._keep == FIRST:
            return sorted((ask for prompt in self.prompts for ask in self._next(prompt, 0)), key=lambda ask: ask.sample)
        asks = [self._ask(prompt, sample) for prompt in self.prompts for sample in range(self.samples)]
        for ask in asks:
            if ask.key in self.replies:
                self._take(ask)
        return [ask for ask in asks if ask.key not in self.replies]

    def take(self, ask: Ask) -> list[Ask]:
        """Judge a reply that has come, and return the ask that it makes necessary, if any."""
        self._take(ask)
        return self._next(ask.prompt, ask.sample + 1) if self._keep == FIRST else []

    def kept(self) -> Iterator[tuple[Prompt, int]]:
        """Yield each prompt with the number of a sample that is kept."""
        for prompt in self.prompts:
            right = [sample for sample in range(self.samples) if (found := self.judged.get((prompt.id, sample))) and found.right]
            if self._keep == SHORTEST:
                right = sorted(right, key=lambda sample: _length(self.replies[prompt.id, sample]))[:1]
            elif self._keep == FIRST:
                right = right[:1]
            yield from ((prompt, sample) for sample in right)

    def _next(self, prompt: Prompt, sample: int) -> list[Ask]:
        """Return the first ask from `sample` on that has no reply, unless there is a right one: then nothing more is asked."""
        while prompt.id not in self.right and sample < self.samples:
            ask = self._ask(prompt, sample)
            if ask.key not in self.replies:
                return [ask]
            self._take(ask)
            sample += 1
        return []

    def _take(self, ask: Ask) -> None:
        verdict = self._judge(ask.prompt, self.replies[ask.key].text)
        right = verdict.reason is Reason.CORRECT and (verdict.reward or 0) > 0
        self.judged[ask.key] = Judged(verdict.reason, right)
        if right:
            self.right.add(ask.prompt.id)

    def _ask(self, prompt: Prompt, sample: int) -> Ask:
        return Ask(prompt, sample, self._sampling, seed_of(self._seed, prompt.id, sample))


def seed_of(run_seed: int, prompt_id: str, sample: int) -> int:
    """Return the sampling seed of a sample: 63 bits, whatever else is asked."""
    return int.from_bytes(blake2b(f"sample {run_seed} {sample} {prompt_id}".encode(), digest_size=8).digest(), "big") >> 1


def _length(reply: Reply) -> tuple[int, int]:
    """Return by what the shortest is told; an endpoint may leave out how many tokens there are."""
    return reply.completion_tokens, len(reply.text)
