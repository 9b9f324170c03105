"""From what a run recovers, how often, and what it does then: with attempts that are told how to end."""

import asyncio
from types import SimpleNamespace

import pytest

from toolrl.config.load import load
from toolrl.config.schema import RlConfig
from toolrl.errors import (
    CheckpointError,
    ConfigError,
    DeadlineError,
    DisagreementError,
    DivergedError,
    GroupLostError,
    LearnerError,
    LearnerLostError,
    RolloutError,
    ScoringError,
    WeightSyncError,
)
from toolrl.pipelines.preemption import Preemption
from toolrl.pipelines.recovery import Recovery

APART = ("conf/demo.yaml",)
SHARED = (*APART, "cluster.device=cuda", "cluster.colocated=true", "weights.backend=ipc", "learner.num_ranks=1")
REWIND = "run.on_divergence=rewind"


class Run:
    """A run whose attempts fail in turn with `failures`, and then end; what is done is in `events`."""

    def __init__(self, *failures, settings=APART, rebuilds=()):
        self.events, self._failures, self._rebuilds = [], list(failures), list(rebuilds)
        self.preemption = Preemption(1.0)
        folder = SimpleNamespace(begin_attempt=lambda why: self.events.append(f"after: {why}"))
        store = SimpleNamespace(newest=self._newest)
        self._recovery = Recovery(load(RlConfig, settings), folder, store, self.preemption)

    def _newest(self):
        return None

    async def _attempt(self, newest, start):
        self.events.append("attempt")
        if self._failures:
            raise self._failures.pop(0)

    async def _anew(self):
        self.events.append("anew")
        if self._rebuilds:
            raise self._rebuilds.pop(0)

    def train(self):
        asyncio.run(self._recovery.through(None, attempt=self._attempt, anew=self._anew, start=0.0))
        return self.events


@pytest.mark.parametrize(
    ("failure", "settings"),
    [
        (LearnerLostError("x"), APART),
        (GroupLostError("x"), APART),
        (DivergedError("x"), (*APART, REWIND)),
        (DisagreementError("x"), (*APART, REWIND)),
        (RolloutError("x"), SHARED),
        (WeightSyncError("x"), SHARED),
        (DeadlineError("x"), SHARED),
    ],
)
def test_a_run_recovers_by_another_attempt_with_actors_made_anew(failure, settings):
    assert Run(failure, settings=settings).train() == ["attempt", "after: x", "anew", "attempt"]


@pytest.mark.parametrize(
    ("failure", "settings"),
    [
        (LearnerError("x"), SHARED),
        (DivergedError("x"), APART),
        (DisagreementError("x"), SHARED),
        (RolloutError("x"), APART),
        (WeightSyncError("x"), APART),
        (DeadlineError("x"), APART),
        (ScoringError("x"), SHARED),
        (CheckpointError("x"), SHARED),
        (ConfigError("x"), SHARED),
        (RuntimeError("x"), SHARED),
    ],
)
def test_what_another_attempt_would_not_help_ends_the_run(failure, settings):
    run = Run(failure, settings=settings)
    with pytest.raises(type(failure), match="x"):
        run.train()
    assert run.events == ["attempt"]


def test_actors_that_cannot_be_made_anew_are_made_anew_again_and_count():
    lost = LearnerLostError("gone")
    run = Run(lost, settings=(*APART, "run.max_rewinds=3"), rebuilds=[RolloutError("no memory"), LearnerError("no device")])
    again = "making the learner anew: "
    assert run.train() == [
        "attempt",
        "after: gone",
        "anew",
        f"after: {again}no memory",
        "anew",
        f"after: {again}no device",
        "anew",
        "attempt",
    ]
    with pytest.raises(ConfigError, match="no model"):
        Run(lost, rebuilds=[ConfigError("no model")]).train()


@pytest.mark.parametrize("most", [0, 1, 2])
def test_the_run_ends_once_it_has_gone_back_as_often_as_it_may(most):
    run = Run(*[LearnerLostError("gone")] * 5, settings=(*APART, f"run.max_rewinds={most}"))
    with pytest.raises(LearnerLostError, match="gone") as raised:
        run.train()
    assert raised.value.__notes__[0].startswith(f"rewound {most} times already (run.max_rewinds)")
    assert run.events.count("attempt") == most + 1


def test_nothing_is_begun_anew_once_the_run_was_told_to_end():
    run = Run(LearnerLostError("gone"))
    run.preemption.signalled = True
    with pytest.raises(LearnerLostError, match="gone"):
        run.train()
    assert run.events == ["attempt"]
