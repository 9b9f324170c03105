"""What a plan is asked about: a configuration, the shape of its model, the cluster, and how long prompts and completions are on average."""

from __future__ import annotations

from dataclasses import dataclass

from toolrl.config.schema import RlConfig
from toolrl.plan.hardware import Cluster
from toolrl.plan.learner_memory import LearnerMemory
from toolrl.plan.shapes import Shape
from toolrl.plan.terms import BYTES

PROMPT_TOKENS = 850
COMPLETION_TOKENS = 100
"""Means in the data and runs of Tool-N1 with Qwen's tokenizer (arXiv 2505.00024 and its code): what is taken where nobody says better."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A run on a cluster of GPUs.

    Args:
        config: Settings of the run; `cluster.device` is cuda.
        shape: Its model.
        cluster: Where it runs.
        prompt_tokens: Mean length of a prompt.
        completion_tokens: Mean length of a completion.
    """

    config: RlConfig
    shape: Shape
    cluster: Cluster
    prompt_tokens: int
    completion_tokens: int

    @property
    def learner(self) -> LearnerMemory:
        """The memory of a learner rank."""
        config = self.config
        return LearnerMemory(self.shape, config.model, config.learner, config.algo, config.cluster.device)

    @property
    def width(self) -> int:
        """Bytes of an element that is computed with."""
        return BYTES[self.config.model.dtype]

    @property
    def completions(self) -> int:
        """Completions of a batch."""
        return self.config.loop.prompts_per_batch * self.config.sampling.n

    @property
    def computed_tokens(self) -> int:
        """Tokens that the learner computes of a batch: a prompt once for its group where it is shared."""
        prompts = self.config.loop.prompts_per_batch if self.config.learner.share_prompts else self.completions
        return prompts * self.prompt_tokens + self.completions * self.completion_tokens

    @property
    def gpus(self) -> int:
        """GPUs that the run asks for."""
        engines = self.config.engine.num * self.config.engine.tensor_parallel
        return engines if self.config.cluster.colocated else engines + self.config.learner.num_ranks

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return self.config.data.max_prompt_tokens + self.config.sampling.max_tokens
