"""Every choice of `algo.*` written plainly, one completion at a time, for tests to compare with. Knows nothing of `toolrl.algo`."""

import numpy as np
import torch


def policy_loss(algo, now, old, advantage):
    """Of each token of a completion."""
    if algo.loss == "reinforce":
        return -advantage * now
    ratio = torch.exp((now - old).mean()).expand_as(now) if algo.loss == "gspo" else torch.exp(now - old)
    bounded = ratio.clamp(1 - algo.clip_low, 1 + algo.clip_high)
    if algo.loss == "cispo":
        return -bounded.detach() * advantage * now
    gain = torch.minimum(ratio * advantage, bounded * advantage)
    if algo.loss == "dual_clip" and advantage < 0:
        gain = gain.clamp(min=algo.dual_clip * advantage)
    return -gain


def importance(algo, old, engine):
    """Weight of each token of a completion."""
    d = old - engine
    match algo.importance:
        case "off":
            return torch.ones_like(d)
        case "sequence":
            return torch.exp(d.sum()).clamp(max=algo.importance_cap).expand_as(d)
        case "geometric":
            return torch.exp(d.mean()).clamp(max=algo.importance_cap).expand_as(d)
        case "masked":
            return torch.exp(d) * ((torch.exp(d) >= algo.importance_floor) & (torch.exp(d) <= algo.importance_cap))
    return torch.exp(d).clamp(max=algo.importance_cap)


def kl(algo, now, reference):
    """Of each token of a completion."""
    log_ratio = now - reference
    return {"k1": log_ratio, "k2": log_ratio**2 / 2, "k3": torch.exp(-log_ratio) + log_ratio - 1}[algo.kl_estimator]


def token_loss(algo, now, entropy, old, engine, reference, advantage):
    """Of each token of a completion, before the aggregation."""
    loss = importance(algo, old, engine) * policy_loss(algo, now, old, advantage) - algo.entropy_coef * entropy
    if algo.kl_coef and algo.kl_in == "loss":
        loss = loss + algo.kl_coef * kl(algo, now, reference)
    return loss


def shares(algo, losses):
    """What each completion adds to the loss of an optimizer step that has the token losses `losses`."""
    with_tokens = sum(len(loss) > 0 for loss in losses)
    if algo.aggregation == "token_mean":
        return [loss.sum() / sum(map(len, losses)) for loss in losses]
    if algo.aggregation == "sequence_mean":
        return [loss.sum() / max(len(loss), 1) / with_tokens for loss in losses]
    return [loss.sum() / algo.loss_constant / with_tokens for loss in losses]


def advantages(algo, groups):
    """Of groups of rewards; a reward that is None is in no statistic."""
    rewards = [np.array([np.nan if r is None else r for r in group]) for group in groups]
    centred = [group - np.nanmean(group) for group in rewards]
    match algo.advantage:
        case "group":
            made = [c / (np.nanstd(c, ddof=1) + algo.advantage_eps) for c in centred]
        case "mean":
            made = centred
        case "leave_one_out":
            made = [c * n / (n - 1) for c, n in zip(centred, (np.count_nonzero(~np.isnan(c)) for c in centred), strict=True)]
        case "batch":
            made = [c / (np.nanstd(np.concatenate(centred), ddof=1) + algo.advantage_eps) for c in centred]
    return [np.nan_to_num(each) for each in made]
