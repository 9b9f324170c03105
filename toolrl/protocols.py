"""The seams of toolrl: what the loop needs from the world, and nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from toolrl.types import (
    Batch,
    Draw,
    GroupRef,
    Prompt,
    PushReport,
    RunState,
    Sampling,
    ScoredGroup,
    StepReport,
    TrainedGroup,
    Verdict,
    WeightVersion,
)


class PromptSource(Protocol):
    """The draws of a run: a pure function of the draw's number, so that a run resumes from it."""

    def draw(self, number: int) -> Draw:
        """Return draw `number`, counted from 0. Never ends: epochs follow one another."""
        ...


class Engines(Protocol):
    """Samples groups from the weights last made live, all draws in flight at once."""

    async def sample(self, draw: Draw, sampling: Sampling) -> GroupRef:
        """Sample `sampling.n` completions of one draw. Raises RolloutError."""
        ...

    async def metrics(self) -> Mapping[str, float]:
        """Return what the engines did since the last call. Raises RolloutError."""
        ...


class Verifier(Protocol):
    """Judges one completion. Pure, total and picklable: no input raises or changes anything."""

    def __call__(self, prompt: Prompt, text: str) -> Verdict:
        """Return the verdict on `text` as the answer to `prompt`."""
        ...


class Scorer(Protocol):
    """Verifies every completion of a group, many groups at once."""

    async def score(self, group: GroupRef) -> ScoredGroup:
        """Return one verdict for each completion. A verifier's failure is a verdict too."""
        ...

    def metrics(self) -> Mapping[str, float]:
        """Return how many workers there are, and what they have gone through since they started."""
        ...


class Learner(Protocol):
    """Owns the weights."""

    async def step(self, batch: Batch) -> StepReport:
        """Train one batch, in one or several optimizer steps. Raises LearnerError."""
        ...


class Weights(Protocol):
    """Carries the learner's weights to the engines."""

    async def publish(self, version: WeightVersion) -> PushReport:
        """Make the learner's present weights live as `version`, verified. Raises WeightSyncError."""
        ...

    async def wanted(self) -> None:
        """Return once an engine has come back that serves only after another push of the live version. Raises RolloutError."""
        ...


class Evaluator(Protocol):
    """Measures the live weights on held-out prompts."""

    async def evaluate(self, version: WeightVersion) -> Mapping[str, float]:
        """Return metrics of the live version; nothing is pushed until it ends."""
        ...


class Store(Protocol):
    """Keeps what a run must be able to come back to."""

    async def save(self, state: RunState) -> Mapping[str, float]:
        """Write a whole checkpoint of `state`; it exists only once complete. Returns metrics."""
        ...


class RolloutLog(Protocol):
    """Keeps every group that was trained or dropped, one file for each version."""

    async def write(self, batch: Batch, trained: Mapping[int, TrainedGroup]) -> None:
        """Write the groups of `batch` as the file of its version; `trained` by draw says how the learner used them."""
        ...

    async def keep_failed(self, batch: Batch, why: str) -> None:
        """Write a batch that could not be trained where it can be looked at; it is no version."""
        ...


class Sink(Protocol):
    """Receives the metrics of each version."""

    def write(self, version: WeightVersion, metrics: Mapping[str, float]) -> None:
        """Record `metrics` of `version`."""
        ...

    def close(self) -> None:
        """Flush and release."""
        ...
