"""The nouns of toolrl. Data flows one way, and each stage returns a new, complete value.

    Prompt ─> Draw ─> Group ─> ScoredGroup ─> Trajectory ─> Batch ─> StepReport ─> WeightVersion
                        └ GroupRef: what the controller holds of a Group, without its token arrays

All are frozen and picklable, without a tensor. Axes: P prompts, G completions of a prompt, T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NewType

import numpy as np
from numpy.typing import NDArray

WeightVersion = NewType("WeightVersion", int)
"""Batches trained and made live; 0 is the start checkpoint. The only clock of staleness."""

Json = Any
"""A JSON value: None, bool, int, float, Decimal, str, list of Json, or dict of str to Json."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call."""

    name: str
    description: str
    parameters: Mapping[str, Json]
    """JSON schema of the arguments: `{"type": "object", "properties": {…}, "required": […]}`."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool: its name and its JSON arguments."""

    name: str
    arguments: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: str  # `system`, `user`, `assistant` or `tool`
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    """Calls made in this turn; rendered in the format the model must produce."""


@dataclass(frozen=True, slots=True)
class AcceptedCall:
    """A reference call for which several values of an argument are right."""

    name: str
    values: Mapping[str, tuple[Json, ...]]
    """For each argument the values that are right; `""` among them: it may be left out (BFCL's convention)."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation to continue, the tools on offer, and the calls that would be right."""

    id: str
    source: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    reference: tuple[ToolCall, ...]
    """Empty: no tool fits, and the right answer is to make no call."""
    dialogue: str = ""
    """Prompts cut from one dialogue share this name and never straddle a split."""
    accepted: tuple[AcceptedCall, ...] = ()
    """The reference with every value that is right, where the data set lists several; empty: the reference alone is."""


@dataclass(frozen=True, slots=True)
class Draw:
    """The `number`-th prompt of a run, ready to be sampled."""

    number: int
    prompt: Prompt
    token_ids: NDArray[np.int32]  # [T], the prompt through the chat template
    seed: int
    """63-bit hash of (run seed, number); completion i of the group is sampled with `seed + i`."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How completions are sampled. Evaluation is the same seam with other values."""

    n: int
    temperature: float  # 0 is greedy
    top_p: float
    max_tokens: int


@dataclass(frozen=True, slots=True)
class VersionSpan:
    """Tokens `start` to `end` (exclusive) of a completion were sampled by the weights `version`."""

    version: WeightVersion
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled continuation of a prompt."""

    token_ids: NDArray[np.int32]  # [T], the stop token included
    logprobs: NDArray[np.float32]  # [T], nats, under the weights and the temperature that sampled them
    loss_mask: NDArray[np.bool_]  # [T], True where the token is trained
    text: str
    finish_reason: str  # `stop`, or `length` where `max_tokens` cut it short
    seed: int
    spans: tuple[VersionSpan, ...]

    @property
    def oldest(self) -> WeightVersion:
        """The oldest weights that sampled any of its tokens."""
        return min(span.version for span in self.spans)

    @property
    def truncated(self) -> bool:
        """Whether the token limit cut it short."""
        return self.finish_reason == "length"


@dataclass(frozen=True, slots=True)
class GroupRef:
    """What the controller holds of a `Group`: sizes and versions, and a handle to the arrays."""

    draw: int
    prompt_id: str
    prompt_tokens: int
    completion_tokens: tuple[int, ...]  # [G]
    oldest: tuple[WeightVersion, ...]  # [G], the oldest weights behind each completion
    truncated: tuple[bool, ...]  # [G]
    engine: str
    sample_s: float  # from the request to the last token of the group
    handle: Any
    """The `Group` itself in process, or a reference to it in an object store."""


@dataclass(frozen=True, slots=True)
class Group:
    """A draw and its G sibling completions. Never split: advantages are relative to siblings."""

    draw: Draw
    completions: tuple[Completion, ...]  # [G]

    def ref(self, handle: Any, *, engine: str, sample_s: float) -> GroupRef:
        """Describe this group for the controller; `handle` leads back to its arrays."""
        return GroupRef(
            draw=self.draw.number,
            prompt_id=self.draw.prompt.id,
            prompt_tokens=len(self.draw.token_ids),
            completion_tokens=tuple(len(c.token_ids) for c in self.completions),
            oldest=tuple(c.oldest for c in self.completions),
            truncated=tuple(c.truncated for c in self.completions),
            engine=engine,
            sample_s=sample_s,
            handle=handle,
        )


class Reason(StrEnum):
    """Why a verdict came out as it did."""

    CORRECT = "correct"
    # Form: the text does not have the shape that was asked for.
    NO_THINK = "no_think"
    EMPTY_THINK = "empty_think"
    UNCLOSED_THINK = "unclosed_think"
    REVERSED_TAGS = "reversed_tags"
    MULTIPLE_THINK = "multiple_think"
    NO_TOOL_CALL = "no_tool_call"
    NO_ANSWER = "no_answer"
    MULTIPLE_TOOL_CALL = "multiple_tool_call"
    UNCLOSED_TOOL_CALL = "unclosed_tool_call"
    CALL_INSIDE_THINK = "call_inside_think"
    TEXT_OUTSIDE = "text_outside"
    CODE_FENCE = "code_fence"
    INVALID_JSON = "invalid_json"
    DUPLICATE_KEY = "duplicate_key"
    NOT_A_LIST = "not_a_list"
    DOUBLE_ENCODED = "double_encoded"
    MALFORMED_CALL = "malformed_call"
    TOO_LARGE = "too_large"
    # Content: the calls were read, and they are not the reference.
    UNEXPECTED_CALL = "unexpected_call"
    WRONG_COUNT = "wrong_count"
    WRONG_NAME = "wrong_name"
    MISSING_ARGUMENT = "missing_argument"
    UNEXPECTED_ARGUMENT = "unexpected_argument"
    WRONG_TYPE = "wrong_type"
    WRONG_VALUE = "wrong_value"
    # The verifier itself failed: no statement about the completion.
    VERIFIER_ERROR = "verifier_error"
    VERIFIER_TIMEOUT = "verifier_timeout"
    QUARANTINED = "quarantined"  # not asked any more: the prompt has cost too many reward workers

    @property
    def is_failure(self) -> bool:
        """Whether the verifier failed, so that the completion has no reward at all."""
        return self in (Reason.VERIFIER_ERROR, Reason.VERIFIER_TIMEOUT, Reason.QUARANTINED)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the verifier says of one completion."""

    reward: float | None  # None where the verifier failed: the completion leaves its group's statistics
    reason: Reason
    path: str = ""
    """Where in the calls, as in `[0].arguments.city`; empty where the rule is about the whole text."""
    expected: str = ""
    got: str = ""
    format_right: bool = False
    content_right: bool = False
    """The calls are right under a lenient parse, whatever the form."""
    bfcl_right: bool | None = None
    """The calls are right by the rules of BFCL's checker; None where that was not asked."""


@dataclass(frozen=True, slots=True)
class ScoredGroup:
    """A group with one verdict for each completion."""

    group: GroupRef
    verdicts: tuple[Verdict, ...]  # [G]

    @property
    def dull(self) -> bool:
        """Whether the rewards do not differ, so that no completion is better than its siblings."""
        return len({v.reward for v in self.verdicts if v.reward is not None}) < 2


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A scored group with the advantage of each completion: what a batch is made of."""

    scored: ScoredGroup
    advantages: tuple[float, ...]  # [G]


@dataclass(frozen=True, slots=True)
class Batch:
    """The groups trained between two weight versions, in the order they were drawn."""

    version: WeightVersion
    """The weights being trained; the batch makes `version + 1`."""
    trajectories: tuple[Trajectory, ...]  # [P]
    dropped: tuple[ScoredGroup, ...] = ()  # dull groups that `loop.refill` replaced: logged, not trained
    discarded: tuple[tuple[ScoredGroup, str], ...] = ()
    """Groups of a batch that could not be trained before a rewind, and why: logged, not trained, and in no statistic."""

    @property
    def draws_taken(self) -> int:
        """Draws consumed to fill the batch, be they trained or not."""
        return len(self.trajectories) + len(self.dropped) + len(self.discarded)


@dataclass(frozen=True, slots=True)
class TrainedGroup:
    """How the completions of a group were trained."""

    advantages: tuple[float, ...]  # [G], as the loss saw them: with the KL penalty where that is in the reward
    loss_shares: tuple[float | None, ...]  # [G], what each added to its optimizer step's loss; None: not trained


@dataclass(frozen=True, slots=True)
class StepReport:
    """What training one batch did."""

    optimizer_steps: int  # since the start of the run
    metrics: Mapping[str, float]
    trained: Mapping[int, TrainedGroup]  # by draw


@dataclass(frozen=True, slots=True)
class PushReport:
    """What making a version live took, and how near engine and learner are afterwards."""

    version: WeightVersion
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RunState:
    """Where a run stands between two batches: all the controller needs to resume."""

    version: WeightVersion = WeightVersion(0)
    draws_taken: int = 0
    optimizer_steps: int = 0
    best_heldout: float | None = None
    best_version: WeightVersion | None = None
