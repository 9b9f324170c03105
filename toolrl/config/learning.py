"""How a model learns: advantages and loss, and the group of ranks that trains."""

from __future__ import annotations

from dataclasses import dataclass

ADVANTAGES = ("group", "mean", "leave_one_out", "batch")
"""Values of `algo.advantage`; `toolrl.algo.advantages` has one file for each."""
LOSSES = ("clipped", "dual_clip", "gspo", "cispo", "reinforce")
"""Values of `algo.loss`; `toolrl.algo.policy` has one file for each."""
IMPORTANCE = ("token", "sequence", "masked", "geometric", "off")
"""Values of `algo.importance`; `toolrl.algo.importance` has one file for each but `off`."""


@dataclass(frozen=True)
class AlgoConfig:
    """Advantages and loss."""

    advantage: str = "group"
    """How rewards become advantages: group (GRPO: over mean and deviation of the group), mean (Dr. GRPO: less the group's mean),
    leave_one_out (RLOO), or batch (REINFORCE++: less the group's mean, over the deviation of the batch)."""
    advantage_eps: float = 1e-6
    """Added to the standard deviation (over n - 1) of a group or batch."""
    loss: str = "clipped"
    """Policy loss: clipped (PPO, DAPO), dual_clip, gspo (clips the sequence's ratio), cispo (clips the weight), or reinforce."""
    clip_low: float = 0.2
    """The probability ratio is clipped below at 1 - clip_low; gspo wants about 3e-4, cispo none (near 1)."""
    clip_high: float = 0.2
    """The probability ratio is clipped above at 1 + clip_high; gspo wants about 4e-4."""
    dual_clip: float = 3.0
    """With `algo.loss: dual_clip`: the loss of a token with a negative advantage is at most so many times that advantage."""
    aggregation: str = "token_mean"
    """Mean over the optimizer step: token_mean (of tokens), sequence_mean (of completions' means), or constant (of completions' sums
    over `algo.loss_constant`: Dr. GRPO). Policy term, KL and entropy alike."""
    loss_constant: int = 0
    """With `algo.aggregation: constant`: what a completion's sum is divided by, in tokens; 0: `sampling.max_tokens`."""
    kl_coef: float = 0.0
    """Weight of the KL penalty to the start checkpoint; at 0 the reference model is not loaded."""
    kl_estimator: str = "k3"
    """Estimate of the KL of a token: k1, k2 or k3. In the loss use k2 or k3: k1's gradient is 0 in expectation."""
    kl_in: str = "loss"
    """Where the penalty goes: loss (each token), or reward (the completion's sum, before its advantage is made; a group
    whose rewards agree stays at 0, and a completion that `algo.truncated: mask` leaves out is in no statistic)."""
    entropy_coef: float = 0.0
    """Weight of the entropy bonus."""
    truncated: str = "keep"
    """Completions that `sampling.max_tokens` cut short: keep, mask (not trained; DAPO's overlong filtering), or shape (all completions
    lose reward as they near the limit: DAPO's soft overlong punishment)."""
    overlong_buffer: int = 0
    """With `algo.truncated: shape`: tokens below `sampling.max_tokens` over which the punishment grows from 0 to 1."""
    importance: str = "token"
    """Correction between engine and learner log-probabilities: token (weights cut at the cap), sequence (their product, cut), geometric
    (their geometric mean, cut), masked (a token outside floor and cap is not trained), or off."""
    importance_cap: float = 2.0
    """Largest importance weight."""
    importance_floor: float = 0.5
    """With `algo.importance: masked`: smallest importance weight."""
    mismatch_bound: float = 0.5
    """Largest mean |Δ log p| between engine and learner, in nats, that is trained; above it the run stops. 0: no gate."""


@dataclass(frozen=True)
class LearnerConfig:
    """The DeepSpeed ZeRO-3 learner group."""

    num_ranks: int = 1
    """Ranks of the group."""
    sequence_parallel: int = 1
    """Ranks that share each sequence (Ulysses), for long prompts; divides `learner.num_ranks` and the model's attention heads."""
    minibatches: int = 1
    """Optimizer steps a batch is split into."""
    max_tokens_per_microbatch: int = 16384
    """Most tokens of one forward and backward pass on a rank, or on the `learner.sequence_parallel` ranks that share them."""
    share_prompts: bool = True
    """Compute a prompt once for all completions of its group that meet in a micro-batch; their losses and gradients are the same."""
    optimizer: str = "adamw"
    """adamw, or muon (hidden matrices by Muon, the rest by AdamW): for small models trained from scratch."""
    lr: float = 1e-6
    """Learning rate (of AdamW)."""
    muon_lr: float = 0.02
    """Learning rate of Muon's matrices."""
    beta1: float = 0.9
    """AdamW's first moment decay."""
    beta2: float = 0.999
    """AdamW's second moment decay."""
    weight_decay: float = 0.01
    """Decoupled weight decay of matrices; norms and biases have none."""
    schedule: str = "constant"
    """Learning rate after the warm-up: constant, linear (to 0) or cosine (to 0)."""
    warmup_steps: int = 0
    """Optimizer steps of linear warm-up."""
    warmup_share: float = 0.0
    """The same as a share of the run's optimizer steps, as in 0.1; for `learner.warmup_steps: 0`."""
    clip_grad_norm: float = 1.0
    """Largest global gradient norm; 0 does not clip."""
    max_grad_norm: float = 0.0
    """A global gradient norm, before clipping, above which the step counts as diverged (`run.on_divergence`); 0: none does."""
    lora_rank: int = 0
    """Rank of LoRA's matrices; 0 trains every weight. The engines get the merged weights."""
    lora_alpha: float = 32.0
    """LoRA's update is scaled by lora_alpha / lora_rank."""
    lora_targets: str = "all-linear"
    """Modules that get LoRA matrices: all-linear, or names separated by commas, as in q_proj,v_proj."""
    offload_optimizer: bool = False
    """Keep master weights and optimizer states in host memory, and step there with `learner.threads` (DeepSpeedCPUAdam, which a C++
    compiler makes at the first start, in about a minute)."""
    offload_parameters: bool = False
    """Keep the parameters' shards in host memory between their uses."""
    offload_reference: bool = False
    """Keep the reference model in host memory between its uses. With LoRA there is none: it is the base, without the matrices."""
    persistent_elements: int = 262144
    """A parameter of up to so many elements stays gathered between passes."""
    prefetch_elements: int = 0
    """Elements of parameters gathered ahead of their use; 0: one hidden matrix (hidden size squared)."""
    hpz_ranks: int = 1
    """Ranks that together hold a second copy of the parameters (ZeRO++ hpZ), so that the backward pass gathers within a node; 1: none."""
    cpus_per_rank: float = 0.4
    """Ray CPUs a rank asks for."""
    threads: int = 1
    """Compute threads of a rank on CPU, and of the optimizer in host memory."""
    start_timeout_s: float = 600.0
    """Longest wait for the group to form and load."""
    step_timeout_s: float = 1800.0
    """Longest wait for one batch."""

    @property
    def data_parallel(self) -> int:
        """Shares a batch is cut into: groups of `sequence_parallel` ranks."""
        return self.num_ranks // self.sequence_parallel
