"""Every metric of a run, once: name, unit, help. docs/metrics.md is made from these tables.

METRICS   of a version: once it is live they go to every sink. A name that ends in `/*` is a family: its members share the prefix.
LIVE      of an actor, between versions too: the actor itself says them, to Prometheus alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a value behaves, in Prometheus' words."""

    GAUGE = "gauge"
    COUNTER = "counter"  # only grows, until its process ends
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of a table."""

    name: str
    unit: str
    help: str
    kind: Kind = Kind.GAUGE
    labels: tuple[str, ...] = ()
    """Beside `run`, where Prometheus reads it; of a family the label is its last word."""


METRICS: tuple[Metric, ...] = (
    Metric("loop/step_s", "s", "Wall time since the version before was reported, without evaluation."),
    Metric("loop/wait_generation_s", "s", "Time the learner was idle, waiting for the groups of its batch."),
    Metric("loop/learner_s", "s", "Time training the batch took, as the loop saw it."),
    Metric("loop/push_s", "s", "Time making the version live took, probe included."),
    Metric("loop/eval_s", "s", "Time evaluation took; not part of `loop/step_s`."),
    Metric("loop/checkpoint_s", "s", "Time the checkpoint of the version before took, if there was one."),
    Metric(
        "loop/staleness_mean", "versions", "Versions between the oldest weights behind a trained completion and those it trained, mean."
    ),
    Metric("loop/staleness_max", "versions", "The same, largest; never above `loop.max_staleness`."),
    Metric("loop/groups_in_flight", "groups", "Groups still being sampled or verified when the batch was complete."),
    Metric("loop/dull_share", "share", "Groups whose rewards all agree, among those drawn for the batch."),
    Metric("loop/draws", "groups", "Draws the batch consumed, replaced dull groups included."),
    Metric("loop/single_groups", "groups", "Groups trained with fewer than two rewards: nothing to compare, so advantage 0."),
    Metric("loop/agreeing_groups", "groups", "Groups trained with two or more rewards, all equal: advantage 0."),
    Metric("loop/unjudged_completions", "completions", "Completions of trained groups whose verifier failed: advantage 0."),
    Metric("loop/masked_completions", "completions", "Truncated completions left out of training; with `algo.truncated: mask`."),
    Metric("loop/completions", "completions", "Completions trained."),
    Metric("loop/tokens", "tokens", "Completion tokens trained."),
    Metric("loop/completions_per_s", "completions/s", "Completions trained per second of `loop/step_s`."),
    Metric("loop/tokens_per_s", "tokens/s", "Completion tokens trained per second of `loop/step_s`."),
    Metric("reward/mean", "reward", "Mean reward of what was drawn for the batch; verifier failures have none."),
    Metric("reward/std", "reward", "Standard deviation of the same rewards, over n."),
    Metric("reward/format_right", "share", "Completions of the right form."),
    Metric("reward/content_right", "share", "Completions whose calls are right under a lenient parse, whatever the form."),
    Metric("reward/bfcl_right", "share", "Completions whose calls BFCL's checker would accept, whatever the form."),
    Metric(
        "reward/strict_bfcl_agreement",
        "share",
        "Completions of which `reward/content_right` (by the rules of `reward.mode`) and `reward/bfcl_right` say the same.",
    ),
    Metric("reward/overlong", "reward", "Mean of what rewards lose for length, not part of `reward/mean`; with `algo.truncated: shape`."),
    Metric("reward/failed_share", "share", "Completions without a reward because the verifier failed."),
    Metric("reward/workers", "workers", "Reward workers that judge; fewer than `reward.workers` while one is replaced, or is given up."),
    Metric("reward/workers_replaced", "workers", "Reward workers that hung, died or outgrew their memory and were replaced, so far."),
    Metric("reward/quarantined_prompts", "prompts", "Prompts that are judged no more (`reward.quarantine_after`)."),
    Metric("reward/reason/*", "share", "Completions by the reason of their verdict."),
    Metric("rollout/completion_tokens_mean", "tokens", "Mean length of a completion."),
    Metric("rollout/completion_tokens_max", "tokens", "Longest completion."),
    Metric("rollout/truncated_share", "share", "Completions cut short by `sampling.max_tokens`."),
    Metric("rollout/prompt_tokens_mean", "tokens", "Mean length of a prompt."),
    Metric("rollout/sample_s_mean", "s", "Mean time from the request of a group to its last token."),
    Metric("drift/completion_tokens", "ratio", "Mean length of a completion over that of the first version trained: 1 is no drift."),
    Metric("drift/format_right", "share", "`reward/format_right` less that of the first version trained."),
    Metric("drift/truncated_share", "share", "`rollout/truncated_share` less that of the first version trained."),
    Metric("engine/generated_tokens", "tokens", "Tokens the engines sampled since the version before, evaluation included."),
    Metric("engine/busy_s", "s", "Time in which something was being sampled; of the busiest engine."),
    Metric("engine/busy_sum_s", "s", "The same, added up over the engines."),
    Metric("engine/tokens_per_s", "tokens/s", "Tokens sampled per second of `engine/busy_s`, all engines together."),
    Metric("engine/running_max", "sequences", "Most sequences an engine decoded at once."),
    Metric("engine/waiting_max", "sequences", "Most sequences queued in an engine: it could use more room."),
    Metric("engine/kv_use_max", "share", "Largest share of an engine's key-value cache in use."),
    Metric("engine/preempted", "sequences", "Sequences preempted for want of key-value cache, or by a push."),
    Metric(
        "engine/serving", "engines", "Engines that get draws; fewer than `engine.num` while one is being replaced, or once it is given up."
    ),
    Metric("engine/replaced", "engines", "Processes of engines that died or hung and were replaced, since the run was started."),
    Metric(
        "engine/redrawn", "groups", "Draws that were lost with an engine and sampled again, with the same seeds, since the version before."
    ),
    Metric("heldout/reward", "reward", "Mean reward on held-out prompts, sampled once each at `eval.temperature`."),
    Metric("heldout/stderr", "reward", "Standard error of `heldout/reward`."),
    Metric("heldout/greedy", "reward", "Mean reward on held-out prompts, greedy."),
    Metric("heldout/greedy_stderr", "reward", "Standard error of `heldout/greedy`."),
    Metric("heldout/format_right", "share", "Sampled held-out completions of the right form."),
    Metric("heldout/content_right", "share", "Sampled held-out completions whose calls are right under a lenient parse."),
    Metric("heldout/greedy_format_right", "share", "Greedy held-out completions of the right form."),
    Metric("heldout/greedy_content_right", "share", "Greedy held-out completions whose calls are right under a lenient parse."),
    Metric("heldout/completion_tokens_mean", "tokens", "Mean length of a sampled held-out completion."),
    Metric("heldout/greedy_completion_tokens_mean", "tokens", "Mean length of a greedy held-out completion."),
    Metric("heldout/failed", "completions", "Held-out completions whose verifier failed."),
    Metric("heldout/loss", "nats", "Cross-entropy on held-out demonstrations, mean over all their completions' tokens; `toolrl sft`."),
    Metric("heldout/loss_stderr", "nats", "Standard error of `heldout/loss`, over demonstrations."),
    Metric(
        "learner/loss",
        "nats",
        "Loss as `algo.aggregation` takes its mean, averaged over the batch's optimizer steps that were not skipped: so many times smaller "
        "than the sum of the completions' loss shares.",
    ),
    Metric("learner/policy_loss", "nats", "Its policy term, importance weights included, mean over trained tokens."),
    Metric(
        "learner/kl",
        "nats",
        "KL to the start checkpoint by `algo.kl_estimator`, mean over trained tokens; absent where `algo.kl_coef` is 0.",
    ),
    Metric("learner/entropy", "nats", "Entropy of the policy, mean over trained tokens."),
    Metric("learner/clip_share", "share", "Tokens whose loss the clip decides."),
    Metric("learner/ratio_max", "ratio", "Largest probability ratio to the weights the batch began with; gspo: of a completion."),
    Metric("learner/importance_mean", "ratio", "Mean importance weight of trained tokens; 0 is a token that `masked` leaves out."),
    Metric(
        "learner/mismatch_mean_abs_dlogp",
        "nats",
        "Mean |Δ log p| of sampled tokens between engine and learner; `algo.mismatch_bound` is its gate.",
    ),
    Metric("learner/mismatch_max_abs_dlogp", "nats", "Largest |Δ log p| of sampled tokens between engine and learner."),
    Metric("learner/mismatch_kl", "nats", "KL (k3) between engine and learner on sampled tokens."),
    Metric("learner/ess", "share", "Effective sample size of exp(Δ log p), uncut, as a share of sampled tokens; 1 is no mismatch."),
    Metric("learner/grad_norm", "norm", "Global gradient norm before clipping, mean over optimizer steps."),
    Metric("learner/lr", "rate", "Learning rate of the last optimizer step."),
    Metric("learner/tokens", "tokens", "Tokens with a loss, all ranks."),
    Metric("learner/skipped_steps", "steps", "Optimizer steps skipped because their whole loss was constant."),
    Metric("learner/padding_share", "share", "Computed positions that were padding."),
    Metric("learner/step_s", "s", "Time of the batch on the learner ranks."),
    Metric("learner/turn_s", "s", "Where GPUs are shared, time until the learner had them: draws drained, engines asleep."),
    Metric("learner/flops", "FLOP", "Arithmetic of training the batch, all passes of all ranks; padding and recomputation are none."),
    Metric("learner/flops_per_s", "FLOP/s", "The same per second of `learner/step_s` and rank."),
    Metric("learner/mfu", "share", "The same as a share of what the accelerator can do in bfloat16; absent where that is not known."),
    Metric("learner/forward_s", "s", "Time in forward passes, slowest rank."),
    Metric("learner/backward_s", "s", "Time in backward passes, slowest rank."),
    Metric("learner/optimizer_s", "s", "Time in optimizer steps, slowest rank."),
    Metric("learner/old_logprobs_s", "s", "Time for the log-probabilities the batch begins with, slowest rank."),
    Metric("learner/reference_s", "s", "Time for the reference log-probabilities, slowest rank."),
    Metric("weights/parity_max_abs_dlogp", "nats", "Largest |Δ log p| between engines and learner on the probe prompts, after the push."),
    Metric("weights/parity_mean_abs_dlogp", "nats", "Mean |Δ log p| of the same probe."),
    Metric("weights/bytes", "bytes", "Bytes sent to each engine."),
    Metric("weights/push_s", "s", "Time of the push, all its phases together."),
    Metric("weights/*", "s", "Time of the phases of a push, by name.", labels=("phase",)),
    Metric("run/accelerator_s", "accelerator_s", "Accelerator time since the version before: engines' and ranks', on CPU one each."),
    Metric("waste/*", "accelerator_s", "That in which nothing was trained or sampled, or in vain, by cause.", labels=("cause",)),
    Metric("checkpoint/save_s", "s", "Time the store took for the checkpoint of the version before, if there was one."),
    Metric("checkpoint/bytes", "bytes", "Size of that checkpoint, and of the best weights where they were saved with it."),
)

_ENGINE, _WORKER, _RANK, _ACTOR = ("engine",), ("worker",), ("rank",), ("actor",)

LIVE: tuple[Metric, ...] = (
    Metric("engine/sampled_tokens", "tokens", "Tokens the engine has sampled.", Kind.COUNTER, _ENGINE),
    Metric("engine/sampling_s", "s", "Time in which it was sampling something; a push is none.", Kind.COUNTER, _ENGINE),
    Metric("engine/running", "sequences", "Sequences it decodes now.", labels=_ENGINE),
    Metric("engine/queued", "sequences", "Sequences that wait in it, preempted ones included.", labels=_ENGINE),
    Metric("engine/kv_use", "share", "Share of its key-value cache in use.", labels=_ENGINE),
    Metric("engine/preemptions", "sequences", "Sequences it has preempted so far.", labels=_ENGINE),
    Metric("engine/version", "number", "Weight version it samples with.", labels=_ENGINE),
    Metric("engine/outstanding", "tokens", "Most tokens its draws in flight may still take; the driver's view.", labels=_ENGINE),
    Metric("engine/state", "number", "1 for the state the engine is in, 0 for the others; the driver's view.", labels=("engine", "state")),
    Metric("engine/restarts", "number", "Processes of the engine that died or hung and were replaced, in this driver.", labels=_ENGINE),
    Metric("reward/judging_s", "s", "Time a reward worker took for one group.", Kind.HISTOGRAM, _WORKER),
    Metric("reward/scoring_s", "s", "Time from a group's last token to its verdicts, waiting included.", Kind.HISTOGRAM),
    Metric("reward/judged", "groups", "Groups the reward worker has judged.", Kind.COUNTER, _WORKER),
    Metric("reward/queued", "groups", "Groups that wait for a reward worker."),
    Metric("learner/computed", "tokens", "Tokens the rank has trained on, prompts included.", Kind.COUNTER, _RANK),
    Metric("learner/computing_s", "s", "Time the rank has spent in batches.", Kind.COUNTER, _RANK),
    Metric("actor/memory", "bytes", "Memory of the actor's processes (RSS).", labels=_ACTOR),
    Metric("actor/gpu_memory", "bytes", "Most GPU memory that torch has held in the actor; absent on CPU.", labels=_ACTOR),
    Metric("run/version", "number", "Weight version that is live."),
    Metric("run/attempt", "number", "Attempts to bring the run to its end, the present one included."),
)

_BY_NAME = {metric.name: metric for metric in (*METRICS, *LIVE)}


def describe(name: str) -> Metric | None:
    """Return the line of a metric, that of its family if it has none of its own, or None where it is unknown."""
    found = _BY_NAME.get(name)
    prefix = name
    while found is None and "/" in prefix:
        prefix = prefix.rpartition("/")[0]
        found = _BY_NAME.get(f"{prefix}/*")
    return found
