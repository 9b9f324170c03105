"""A workload -> its plan: whether it fits, the largest micro-batch and concurrency, seconds of a step, hours of the run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from toolrl.plan.engine_memory import EngineMemory
from toolrl.plan.phases import phases
from toolrl.plan.roofline import Efficiencies, Seconds, sampling_seconds, step_seconds
from toolrl.plan.terms import Phase, total
from toolrl.plan.workload import Workload

MOST_TOKENS = 2**24
"""Where the search for the largest micro-batch ends."""
STEP = "forward and backward"
"""The phase that a micro-batch must fit."""
_HOUR = 3600


@dataclass(frozen=True)
class Plan:
    """What a run needs and takes.

    Args:
        load: The run.
        efficiencies: What is reached of a data sheet.
        short: GPUs that the cluster lacks, said in a line; empty where every bundle has its node.
    """

    load: Workload
    efficiencies: Efficiencies
    short: str = ""

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        """Memory by role and phase."""
        return phases(self.load)

    @property
    def tight(self) -> tuple[Phase, ...]:
        """The phases that do not fit."""
        return tuple(phase for phase in self.phases if not phase.fits)

    @property
    def fits(self) -> bool:
        """Whether the cluster has the GPUs and the memory."""
        return not (self.short or self.tight)

    @cached_property
    def largest_micro_batch(self) -> int:
        """Most tokens of a micro-batch that fits; 0 where none does."""
        low, high = 0, MOST_TOKENS
        while low < high:
            middle = (low + high + 1) // 2
            (step,) = (phase for phase in phases(self.load, middle) if phase.name == STEP)
            low, high = (middle, high) if step.fits else (low, middle - 1)
        return low

    @cached_property
    def engine(self) -> EngineMemory:
        """An engine's share of a GPU."""
        return EngineMemory(self.load)

    @cached_property
    def seconds(self) -> Seconds:
        """Where the seconds of a step go."""
        return step_seconds(self.load, self.efficiencies)

    @property
    def step_s(self) -> float:
        """Seconds of a step."""
        return self.seconds.step(overlapped=self.load.config.loop.max_staleness > 0)

    @property
    def evaluations(self) -> int:
        """Evaluations of the run, those at both ends included."""
        config = self.load.config
        if not config.data.heldout:
            return 0
        return 2 + ((config.run.steps - 1) // config.eval.every if config.eval.every else 0)

    @property
    def evaluation_s(self) -> float:
        """Seconds of an evaluation: the held-out prompts once sampled and once greedy."""
        prefill, decode, _ = sampling_seconds(self.load, self.efficiencies, self.load.config.eval.prompts, 1)
        return 2 * (prefill + decode)

    @property
    def run_s(self) -> float:
        """Seconds of the run, without start, checkpoints and failures."""
        return self.load.config.run.steps * self.step_s + self.evaluations * self.evaluation_s

    @property
    def gpu_hours(self) -> float:
        """GPU-hours of the run."""
        return self.run_s * self.load.gpus / _HOUR

    @property
    def checkpoint_bytes(self) -> float:
        """Bytes of a checkpoint: master weights and the optimizer's states."""
        return total(self.load.learner.optimizer_states()) * self.load.config.learner.num_ranks
