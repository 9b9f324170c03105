"""Every setting of toolrl, in one place and without a heavy import.

The string under a field is its documentation: `toolrl config` prints it and docs/settings.md is made from it.
`problems()` of a section returns every contradiction it can see by itself, each with what was got and what to do.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from toolrl.config.learning import AlgoConfig, LearnerConfig
from toolrl.config.task import DataConfig, PromptConfig, RewardConfig


@dataclass(frozen=True)
class RunConfig:
    """The run and its folder."""

    dir: str = "runs/rl"
    """Folder of the run. A folder that holds a run is resumed."""
    seed: int = 0
    """Seed of draws, sampling and initial randomness."""
    steps: int = 100
    """Batches to train; the run ends at this weight version."""
    on_divergence: str = "stop"
    """After a batch whose gradient is not finite, explodes (`learner.max_grad_norm`) or fails `algo.mismatch_bound`, or a push that fails
    its parity probe: stop, or rewind (go back to the newest checkpoint, and leave such a batch out). The batch is kept in discarded/.
    A supervised run can only stop: it would come to the same batch again."""
    max_rewinds: int = 10
    """Times a run makes its learner anew and goes back to its newest checkpoint by itself, before it ends; 0: never."""


@dataclass(frozen=True)
class ModelConfig:
    """The model that is trained."""

    path: str = ""
    """Hugging Face folder or hub name of the start checkpoint; `demo://start` is the one shipped with toolrl."""
    dtype: str = "bfloat16"
    """Compute type of learner and engines: bfloat16 or float32. Master weights are always float32."""
    attention: str = "auto"
    """Attention of the learner over packed rows: flash_attention_2, varlen (torch's own; both GPU only), sdpa (one sequence or rows
    of like length at a time), or auto: the first of them that this machine has."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass to save memory."""
    liger: bool = True
    """Use Liger's fused kernels in the learner on GPU, where liger-kernel is installed and knows the architecture."""


@dataclass(frozen=True)
class SamplingConfig:
    """How training completions are sampled."""

    n: int = 8
    """Completions of a prompt (G), compared with each other."""
    temperature: float = 1.0
    """Sampling temperature; the learner's log-probabilities use the same."""
    top_p: float = 1.0
    """Nucleus mass; 1 samples from the whole distribution."""
    max_tokens: int = 1024
    """Longest completion, in tokens; what is longer is cut and counted as truncated."""


@dataclass(frozen=True)
class EngineConfig:
    """The vLLM rollout engines."""

    num: int = 1
    """Engines, each with a copy of the model."""
    tensor_parallel: int = 1
    """Devices an engine spreads over."""
    max_num_seqs: int = 256
    """Sequences in flight in one engine."""
    max_model_len: int = 0
    """Longest prompt plus completion, in tokens; 0: `data.max_prompt_tokens + sampling.max_tokens`."""
    kv_cache_gib: float = 1.0
    """Key-value cache on CPU, in GiB."""
    gpu_memory_utilization: float = 0.85
    """Share of a GPU's memory an engine may take."""
    enforce_eager: bool = True
    """Skip graph capture: a faster start, slower decoding on GPU."""
    sleep_level: int = 2
    """With `cluster.colocated`: while the learner works, 1 keeps the engine's weights in host memory, 2 drops them."""
    cpus: float = 1.0
    """Ray CPUs an engine asks for."""
    threads: int = 2
    """Compute threads of an engine on CPU."""
    start_timeout_s: float = 600.0
    """Longest wait for an engine to start."""
    sample_timeout_s: float = 1800.0
    """Longest wait for one group."""
    min_num: int = 1
    """Fewest engines that a run goes on with, where others cannot be replaced."""
    max_restarts: int = 5
    """Replacements of one engine that died or hung, in a run; then it is given up. 0: none."""
    health_every_s: float = 10.0
    """Time between two health checks of an engine, and the longest wait for one."""
    health_timeout_s: float = 60.0
    """An engine that answers no health check for so long is replaced; no less than one step of it may take."""


@dataclass(frozen=True)
class LoopConfig:
    """How the loop is paced."""

    prompts_per_batch: int = 32
    """Groups trained between two pushes (P)."""
    max_staleness: int = 0
    """Versions a group may lag behind the weights it trains; 0 is the synchronous on-policy loop."""
    refill: bool = False
    """Replace groups whose verdicts all agree (DAPO) instead of training them with advantage 0 (the paper)."""
    max_dull_in_row: int = 1000
    """With `refill`: dull groups in a row before the run gives up."""


@dataclass(frozen=True)
class WeightsConfig:
    """How weights reach the engines."""

    backend: str = "gloo"
    """Transport: gloo on CPU, nccl between GPUs, ipc where learner and engine share them (`cluster.colocated`)."""
    in_flight: str = "recompute"
    """Requests in flight at a push: recompute (their KV under the new weights), keep_kv, or drain (wait for them)."""
    probe_every: int = 1
    """Versions between two parity probes; 0: never after the first."""
    probe_prompts: int = 4
    """Prompts of a parity probe."""
    parity_bound: float = 1e-5
    """Mean |Δ log p| a probe accepts in float32, in nats; of a single token fifty times as much."""
    bucket_mib: int = 256
    """Parameters gathered and sent at a time, in MiB."""
    timeout_s: float = 120.0
    """Longest wait for any one phase of a push."""


@dataclass(frozen=True)
class EvalConfig:
    """Evaluation on held-out prompts, during the run and at both ends."""

    every: int = 20
    """Versions between two evaluations; 0: only before and after the run."""
    prompts: int = 256
    """Held-out prompts of an evaluation."""
    temperature: float = 1.0
    """Temperature of the sampled evaluation; a greedy one is made beside it."""


@dataclass(frozen=True)
class CheckpointConfig:
    """Checkpoints."""

    every: int = 20
    """Versions between two checkpoints; the last version is always kept."""
    keep: int = 2
    """Newest whole checkpoints to keep."""
    best: bool = True
    """Keep the weights of the best held-out reward too."""
    timeout_s: float = 1800.0
    """Longest wait for a checkpoint to be written or read."""
    preempt_timeout_s: float = 300.0
    """Longest time that a run takes to save and end after SIGTERM; set it below what the scheduler waits before it kills."""


@dataclass(frozen=True)
class MonitorConfig:
    """Where metrics and rollouts go, beside the run folder."""

    tensorboard: bool = True
    """Write TensorBoard event files."""
    wandb: str = "off"
    """Weights & Biases: off, offline, or online."""
    wandb_project: str = "toolrl"
    """Its project."""
    rollouts: str = "all"
    """What rollouts/ keeps: all, share (one group in eight), or no_tokens (texts and verdicts only)."""
    trace: str = ""
    """Versions to write a trace of into traces/, as in `3,10-12`: what each engine, worker, rank and the driver did, for Perfetto."""


@dataclass(frozen=True)
class ClusterConfig:
    """The Ray cluster."""

    address: str = "local"
    """`local` starts one on this machine for this run; `auto` or host:port attaches to a running one."""
    num_cpus: int = 0
    """CPUs of a local cluster; 0: those of this machine, and no fewer than 2."""
    device: str = "cpu"
    """What engines and learners compute on: cpu or cuda."""
    colocated: bool = False
    """Each learner rank shares its GPU with an engine worker, one asleep while the other works, instead of having its own."""
    placement_timeout_s: float = 120.0
    """Longest wait for the cluster to grant the placement."""


@dataclass(frozen=True)
class RlConfig:
    """Settings of `toolrl rl`."""

    run: RunConfig = field(default_factory=RunConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    prompt: PromptConfig = field(default_factory=PromptConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    algo: AlgoConfig = field(default_factory=AlgoConfig)
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)

    @property
    def max_model_len(self) -> int:
        """Longest prompt plus completion an engine must hold, in tokens."""
        return self.engine.max_model_len or self.data.max_prompt_tokens + self.sampling.max_tokens
