"""One rank of the learner group.

    setup ─> step | sft_step | sft_losses | logprobs | save | load | export | offload, onload ─> close

Every method after `setup` is collective: all ranks call it, in the same order, each with its own shard. One process holds one rank.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from toolrl.config.learning import AlgoConfig, LearnerConfig
from toolrl.config.schema import ModelConfig
from toolrl.errors import LearnerError
from toolrl.learner import rendezvous
from toolrl.learner.collate import Tokens, demonstration_tokens, policy_tokens
from toolrl.learner.deepspeed_config import inference_config, training_config
from toolrl.learner.flops import peak, utilisation
from toolrl.learner.inspection import Inspection, Place
from toolrl.learner.measure import Ranks
from toolrl.learner.model import load_policy, read_config
from toolrl.learner.packing import Demonstration, DemonstrationShard, RankShard, pack
from toolrl.learner.sequence import SequenceParallel, check_heads
from toolrl.types import Group, TrainedGroup

if TYPE_CHECKING:
    from toolrl.learner.offload import Parking
    from toolrl.learner.policy import PolicyStep
    from toolrl.learner.reference import Reference
    from toolrl.learner.trainer import Trainer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Done:
    """What a rank has done since its process started."""

    tokens: float = 0.0
    """Trained on, prompts included; each that several completions share once, and of rows that ranks share its part."""
    seconds: float = 0.0
    """In batches."""
    gpu_bytes: int = 0
    """Most that torch has held; 0 on CPU."""


class LearnerRank:
    """A rank of the ZeRO-3 group that owns the weights.

    Args:
        model: The model; `path` is a folder or hub name by now.
        learner: Group, optimizer, packing.
        algo: Losses; of no use to supervised training.
        temperature: Of the sampling that will be trained on.
        device: `cpu` or `cuda`.
        seed: Of whatever is random here.
        total_steps: Optimizer steps of the run, where the schedule ends.
    """

    def __init__(
        self,
        model: ModelConfig,
        learner: LearnerConfig,
        *,
        algo: AlgoConfig | None = None,
        temperature: float = 1.0,
        device: str = "cpu",
        seed: int = 0,
        total_steps: int = 1,
    ) -> None:
        self._model = model
        self._learner = learner
        self._algo = algo or AlgoConfig()
        self._temperature = temperature
        self._device = device
        self._seed = seed
        self._total_steps = total_steps
        self._world_size = 1
        self._ranks = Ranks(device, copies=learner.sequence_parallel)
        self._trainer: Trainer | None = None
        self._reference: Reference | None = None
        self._policy_step: PolicyStep | None = None
        self._parking: Parking | None = None
        self.done = Done()
        """What it has done so far; replaced as a whole, so that another thread may read it."""

    def setup(self, rank: int, world_size: int, master_addr: str, master_port: int) -> None:
        """Join the group and load the model.

        Raises:
            DeadlineError: A rank did not come within `learner.start_timeout_s`.
            UserError: The model cannot be loaded.
        """
        if self._device == "cpu" or self._learner.offload_optimizer:
            torch.set_num_threads(self._learner.threads)
        self._world_size = world_size
        torch.manual_seed(self._seed)
        config = read_config(self._model.path)
        check_heads(config, self._learner.sequence_parallel)
        timeouts = {"start_timeout_s": self._learner.start_timeout_s, "step_timeout_s": self._learner.step_timeout_s}
        rendezvous.join(rank, world_size, master_addr, master_port, device=self._device, **timeouts)
        # DeepSpeed picks its device and finds its group when it is imported.
        from toolrl.learner.offload import Parking
        from toolrl.learner.policy import PolicyStep
        from toolrl.learner.trainer import Trainer

        size = self._learner.sequence_parallel
        sequence = SequenceParallel(size, self._learner.step_timeout_s) if size > 1 else None
        common = {"dtype": self._model.dtype, "device": self._device, "hidden_size": config.hidden_size}
        training = training_config(self._learner, **common)
        policy = load_policy(self._model, config, training, sequence, self._device)
        if self._learner.lora_rank:
            from toolrl.learner.lora import add_adapters

            add_adapters(policy.causal, self._learner, self._seed)
        self._trainer = Trainer(policy, training, self._learner, self._total_steps)
        self._reference = self._load_reference(config, common, sequence) if self._algo.kl_coef else None
        self._policy_step = PolicyStep(self._trainer, self._reference, self._algo, self._temperature, self._ranks)
        self._parking = Parking(self._trainer.engine, self._reference.engines if self._reference else (), self._device)

    def _count(self, micro_batches: Iterable[Tokens], started: float, metrics: Mapping[str, float]) -> dict[str, float]:
        """Count a batch as done; returns the metrics of its time."""
        seconds = time.perf_counter() - started
        gpu_bytes = torch.cuda.max_memory_reserved() if self._device == "cuda" else 0
        tokens = sum(each.num_real for each in micro_batches) / self._ranks.copies
        self.done = Done(self.done.tokens + tokens, self.done.seconds + seconds, gpu_bytes)
        found = {"learner/step_s": seconds}
        if "learner/flops" in metrics:
            found |= utilisation(metrics["learner/flops"], seconds, self._world_size, peak(self._device, self._model.dtype))
        return found

    def step(self, shard: RankShard, groups: Mapping[int, Group]) -> tuple[dict[str, float], dict[int, TrainedGroup]]:
        """Train this rank's share of a batch; return the metrics of all ranks, and how this rank's groups were trained, by draw.

        Args:
            shard: From `shard_batch`.
            groups: Draw number -> group, for each of `shard.handles`.

        Raises:
            DivergedError: Engine and learner disagree by more than `algo.mismatch_bound`, or a gradient is not finite or too large.
        """
        started = time.perf_counter()
        policy_step = _after_setup(self._policy_step)
        steps = [[policy_tokens(micro, groups, self._device) for micro in step] for step in shard.optimizer_steps]
        metrics, trained = policy_step.run(steps, shard.advantages, shard.rewards)
        return metrics | self._count((each.tokens for step in steps for each in step), started, metrics), trained

    def inspect(self, shard: RankShard, groups: Mapping[int, Group], place: Place) -> Inspection | None:
        """Train a batch up to the optimizer step of one completion and look at it there; None on a rank that does not have it.

        Args:
            shard: From `shard_batch`.
            groups: Draw number -> group, for each of `shard.handles`.
            place: Where the completion is; the same on every rank.
        """
        from toolrl.learner.inspect import inspect

        steps = [[policy_tokens(micro, groups, self._device) for micro in step] for step in shard.optimizer_steps]
        return inspect(_after_setup(self._policy_step), self._ready, steps, shard.advantages, shard.rewards, place)

    def sft_step(self, shard: DemonstrationShard) -> dict[str, float]:
        """Take one optimizer step of cross-entropy on this rank's demonstrations and return the metrics of the whole group.

        Raises:
            DivergedError: A gradient is not finite or too large.
        """
        from toolrl.learner.supervised import supervised_step

        started = time.perf_counter()
        micro_batches = [demonstration_tokens(rows, self._device) for rows in shard.micro_batches]
        metrics = supervised_step(self._ready, micro_batches, self._ranks)
        return metrics | self._count(micro_batches, started, metrics)

    def sft_losses(self, shard: DemonstrationShard) -> list[tuple[float, int]]:
        """Return sum of losses and number of tokens of each of this rank's demonstrations, in the order of the shard; trains nothing."""
        from toolrl.learner.supervised import supervised_losses

        return supervised_losses(self._ready, shard.micro_batches, self._device)

    def logprobs(self, sequences: Sequence[NDArray[np.int32]], temperature: float) -> list[NDArray[np.float32]]:
        """Return the log-probabilities of tokens 1 to T - 1 of each sequence, given what precedes them; the same on every rank.

        Args:
            sequences: Token ids; the same on every rank.
            temperature: Logits are divided by it.
        """
        found: dict[int, NDArray[np.float32]] = {}
        for part in pack([len(ids) for ids in sequences], self._learner.max_tokens_per_microbatch):
            tokens = demonstration_tokens([Demonstration(sequences[i], prompt_tokens=1) for i in part], self._device)
            with torch.no_grad():
                logp, _ = self._ready.forward(tokens, temperature)
            pieces = torch.split(logp.cpu(), [len(sequences[i]) - 1 for i in part])
            found |= {i: piece.numpy().copy() for i, piece in zip(part, pieces, strict=True)}
        return [found[i] for i in range(len(sequences))]

    @property
    def model(self) -> Any:
        """The Hugging Face model, its parameters sharded: what the weights are gathered from."""
        return self._ready.causal

    @property
    def optimizer_steps(self) -> int:
        """Optimizer steps taken since the start of the run, the skipped ones not counted."""
        return self._ready.optimizer_steps

    def save(self, folder: Path) -> list[Path]:
        """Write this rank's weights, optimizer, schedule and random state into `folder`; return its files."""
        return self._ready.save(folder)

    def sizes(self) -> tuple[int, int]:
        """Return about how many bytes `save` writes here, and this rank's share of those that `export` writes."""
        return self._ready.sizes()

    def load(self, folder: Path) -> None:
        """Continue from what `save` wrote, with whatever number of ranks.

        Raises:
            CheckpointError: It is not there, or of another model.
        """
        self._ready.load(folder)

    def export(self, folder: Path) -> list[Path]:
        """Write the weights as a Hugging Face folder with the start checkpoint's tokenizer; rank 0 writes. Returns its files."""
        from toolrl.learner.export import export_model

        return export_model(self.model, self._model.path, folder)

    def offload(self, *, parameters: bool) -> None:
        """Move optimizer states and gradients to host memory, so that an engine can use the device.

        Args:
            parameters: The model's shards too: nothing may then be asked of this rank until `onload`.
        """
        _after_setup(self._parking).park(parameters=parameters)

    def onload(self) -> None:
        """Bring the states back; training goes on as if they had never left."""
        _after_setup(self._parking).unpark()

    def close(self) -> None:
        """Leave the group."""
        rendezvous.leave()

    @property
    def _ready(self) -> Trainer:
        return _after_setup(self._trainer)

    def _load_reference(self, config: Any, common: dict[str, Any], sequence: SequenceParallel | None) -> Reference:
        from toolrl.learner.reference import AdaptersOff, FrozenCopy

        if self._learner.lora_rank:
            return AdaptersOff(self._ready)
        settings = inference_config(self._learner, **common)
        return FrozenCopy(load_policy(self._model, config, settings, sequence, self._device), settings)


def _after_setup(part: T | None) -> T:
    if part is None:
        raise LearnerError("the learner rank is used before setup")
    return part
