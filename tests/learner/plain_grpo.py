"""GRPO on a page, independent of toolrl: one sequence at a time, full logits, its own loss and AdamW. Weights change in place."""

import copy

import torch

CLIP, KL, CAP, TEMPERATURE = 0.2, 1e-3, 2.0, 0.8
LR, BETAS, EPS, DECAY, MAX_NORM = 2e-4, (0.9, 0.999), 1e-8, 0.1, 0.5


class PlainGRPO:
    """A policy, its frozen start, and the moments of AdamW."""

    def __init__(self, model):
        self.policy, self.reference = model, copy.deepcopy(model)
        self.weights = list(model.parameters())
        self.moments = [(torch.zeros_like(w), torch.zeros_like(w)) for w in self.weights]
        self.steps = 0

    def logp(self, model, sample):
        """Log-probabilities of the trained tokens of a sample: prompt, completion, mask."""
        prompt, completion, mask = (torch.as_tensor(sample[name]) for name in ("prompt", "completion", "mask"))
        logits = model(torch.cat([prompt, completion]).long()[None], use_cache=False).logits[0] / TEMPERATURE
        every = logits[len(prompt) - 1 : -1] - logits[len(prompt) - 1 : -1].logsumexp(-1, keepdim=True)
        return every[torch.arange(len(completion)), completion.long()][mask]

    def train(self, minibatches):
        """Take an optimizer step for each list of groups (lists of samples); return the loss of each."""
        samples = [[sample | {"advantage": a} for group in part for sample, a in self.advantages(group)] for part in minibatches]
        with torch.no_grad():
            old = [[self.logp(self.policy, sample) for sample in part] for part in samples]
            start = [[self.logp(self.reference, sample) for sample in part] for part in samples]
        return [self.step(list(zip(*each, strict=True))) for each in zip(samples, old, start, strict=True)]

    def advantages(self, group):
        rewards = torch.tensor([sample["reward"] for sample in group], dtype=torch.float64)
        same = (rewards == rewards[0]).all()
        return [(sample, 0.0 if same else a) for sample, a in zip(group, (rewards - rewards.mean()) / (rewards.std() + 1e-6), strict=True)]

    def step(self, rows):
        total, tokens = 0.0, 0
        for sample, old, start in rows:
            now = self.logp(self.policy, sample)
            ratio, weight = (now - old).exp(), (old - torch.as_tensor(sample["engine_logp"])[torch.as_tensor(sample["mask"])]).exp()
            gain = torch.minimum(ratio * sample["advantage"], ratio.clamp(1 - CLIP, 1 + CLIP) * sample["advantage"])
            total = total + (KL * ((start - now).exp() - (start - now) - 1) - weight.clamp(max=CAP) * gain).sum()
            tokens += len(now)
        gradients = torch.autograd.grad(total / tokens, self.weights)
        self.adamw(gradients, min(1.0, MAX_NORM / (float(sum((g * g).sum() for g in gradients)) ** 0.5 + 1e-6)))
        return total.item() / tokens

    @torch.no_grad()
    def adamw(self, gradients, scale):
        self.steps += 1
        for weight, gradient, (first, second) in zip(self.weights, gradients, self.moments, strict=True):
            first.lerp_(gradient * scale, 1 - BETAS[0])
            second.lerp_((gradient * scale) ** 2, 1 - BETAS[1])
            weight.mul_(1 - LR * DECAY * (weight.ndim > 1))
            unbiased = (second / (1 - BETAS[1] ** self.steps)).sqrt() + EPS
            weight.sub_(LR / (1 - BETAS[0] ** self.steps) * first / unbiased)
