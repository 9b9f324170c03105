"""What came of a distillation, as the content of report.json: yield by reason and by source, tokens, cost, and what had no answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from toolrl import __version__
from toolrl.config.asking import DistillConfig, EndpointConfig
from toolrl.errors import ReplyError
from toolrl.pipelines.distilling.candidates import Candidates
from toolrl.rollout.replies import Key, Reply
from toolrl.rollout.traffic import Traffic
from toolrl.types import Prompt

LENGTH = "length"
"""Reason for which a completion ends that the limit cut short."""


def report(
    config: DistillConfig,
    candidates: Candidates,
    kept: Sequence[tuple[Prompt, int]],
    failed: Mapping[Key, ReplyError],
) -> dict[str, Any]:
    """Return the report. Tokens and cost are of all replies, whether they are still asked for or not: they were paid."""
    judged, replies = candidates.judged, candidates.replies
    reasons = Counter(str(each.reason) for each in judged.values())
    tokens = [replies[prompt.id, sample].completion_tokens for prompt, sample in kept]
    return {
        "toolrl": __version__,
        "model": config.model.path,
        "endpoint_model": config.endpoint.model,
        "data": config.data.train,
        "keep": config.data.keep,
        "mode": config.reward.mode,
        "prompts": len(candidates.prompts),
        "prompts_right": len(candidates.right),
        "demonstrations": len(kept),
        "samples": len(judged),
        "samples_right": sum(each.right for each in judged.values()),
        "reasons": dict(sorted(reasons.items(), key=lambda each: (-each[1], each[0]))),
        "truncated": sum(replies[key].finish_reason == LENGTH for key in judged),
        "sources": _sources(candidates),
        "kept_tokens_median": median(tokens) if tokens else None,
        "prompt_tokens": sum(reply.prompt_tokens for reply in replies.values()),
        "completion_tokens": sum(reply.completion_tokens for reply in replies.values()),
        "replies": len(replies),
        "replies_without_counts": sum(not reply.prompt_tokens for reply in replies.values()),
        "cost": cost(config, replies),
        "failed": [{"id": key[0], "sample": key[1], "why": str(error)} for key, error in failed.items()],
    }


def this_start(asked: int, seconds: float, tokens_per_s: float, traffic: Traffic) -> dict[str, Any]:
    """Return what this start of the command did; others may have gone before it. `seconds` hold the start of engines, the rate does not."""
    return {
        "asked": asked,
        "seconds": round(seconds, 1),
        "tokens_per_s": round(tokens_per_s),
        "requests": traffic.sent,
        "faults": {str(kind): number for kind, number in traffic.faults.most_common()},
        "held_s": round(traffic.held_s, 1),
    }


def cost(config: DistillConfig, replies: Mapping[Key, Reply]) -> float | None:
    """Return what the replies cost, in the currency of the prices; None where there are no prices, or our own engines answer."""
    prices = config.endpoint
    if not config.model.is_endpoint or not (prices.prompt_price or prices.completion_price):
        return None
    return sum(price_of(prices, reply) for reply in replies.values())


def price_of(prices: EndpointConfig, reply: Reply) -> float:
    """Return what one reply cost."""
    return (reply.prompt_tokens * prices.prompt_price + reply.completion_tokens * prices.completion_price) / 1e6


def _sources(candidates: Candidates) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for prompt in candidates.prompts:
        counts = found.setdefault(prompt.source, Counter())
        samples = [each for i in range(candidates.samples) if (each := candidates.judged.get((prompt.id, i)))]
        right = sum(each.right for each in samples)
        counts.update(prompts=1, prompts_right=int(right > 0), samples=len(samples), samples_right=right)
    return {source: dict(counts) for source, counts in found.items()}
