"""What `learner.py` trains: models, and batches of groups with the lengths of real runs. Token ids are random: speed does not ask."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import Qwen2Config, Qwen2ForCausalLM

from toolrl.testing.demo_model import make_model
from toolrl.types import Batch, Completion, Draw, Group, Prompt, Reason, ScoredGroup, Trajectory, Verdict, VersionSpan, WeightVersion


@dataclass(frozen=True)
class Lengths:
    """Tokens of a text: log-normal, cut at `most`."""

    median: float
    spread: float
    most: int

    def draw(self, rng: np.random.Generator) -> int:
        """Return one length."""
        return int(np.clip(round(rng.lognormal(np.log(self.median), self.spread)), 4, self.most))


@dataclass(frozen=True)
class Shape:
    """A model and a batch."""

    prompts: int
    n: int
    prompt: Lengths
    completion: Lengths
    hidden: int
    intermediate: int
    layers: int
    heads: int
    vocabulary: int

    def make_model(self, folder: Path) -> None:
        """Write a random model of this shape."""
        config = Qwen2Config(
            vocab_size=self.vocabulary,
            hidden_size=self.hidden,
            intermediate_size=self.intermediate,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.heads // 2,
            tie_word_embeddings=False,
        )
        Qwen2ForCausalLM(config).float().save_pretrained(folder)

    def make_batch(self, seed: int = 0) -> tuple[Batch, dict[int, Group]]:
        """Return a batch with normal advantages, and its groups by draw number."""
        rng = np.random.default_rng(seed)
        groups = {number: self._group(rng, number) for number in range(self.prompts)}
        trajectories = []
        for group in groups.values():
            advantages = tuple(rng.normal(size=self.n).tolist())
            verdicts = tuple(Verdict(float(a > 0), Reason.CORRECT if a > 0 else Reason.WRONG_VALUE) for a in advantages)
            trajectories.append(Trajectory(ScoredGroup(group.ref(None, engine="none", sample_s=0.0), verdicts), advantages))
        return Batch(WeightVersion(0), tuple(trajectories)), groups

    def _group(self, rng: np.random.Generator, number: int) -> Group:
        def ids(length: int) -> np.ndarray:
            return rng.integers(0, self.vocabulary, length, dtype=np.int32)

        completions = []
        for _ in range(self.n):
            tokens = ids(self.completion.draw(rng))
            logprobs = rng.normal(-np.log(self.vocabulary), 0.1, len(tokens)).astype(np.float32)
            spans = (VersionSpan(WeightVersion(0), 0, len(tokens)),)
            completions.append(Completion(tokens, logprobs, np.ones(len(tokens), bool), "", "stop", 0, spans))
        return Group(Draw(number, Prompt(str(number), "benchmark", (), (), ()), ids(self.prompt.draw(rng)), 0), tuple(completions))


class DemoShape(Shape):
    """The demo's own model with random weights."""

    def make_model(self, folder: Path) -> None:
        """Write it."""
        make_model(folder, seed=0)


SHAPES = {
    "demo": DemoShape(16, 8, Lengths(103, 0.15, 256), Lengths(34, 0.25, 96), 128, 256, 3, 4, 1442),
    # The lengths of the tool-calling rows of ToolRL (rlla_4k) at four characters a token, with a short reasoning.
    "wide": Shape(2, 4, Lengths(640, 0.46, 2048), Lengths(114, 0.33, 512), 512, 1408, 6, 8, 8000),
    "tiny": Shape(4, 2, Lengths(20, 0.3, 40), Lengths(8, 0.3, 16), 64, 128, 2, 2, 1000),
}
