"""The settings of commands that only ask a model: `toolrl evaluate` and `toolrl distill`, with their own sections and those they share."""

from __future__ import annotations

from dataclasses import dataclass, field

from toolrl.config.schema import ClusterConfig, EngineConfig
from toolrl.config.task import PromptConfig, RewardConfig

KEEP = ("shortest", "first", "all")
"""Values of `data.keep`."""


@dataclass(frozen=True)
class FolderConfig:
    """The folder of what comes out."""

    dir: str = ""
    """Folder to write; one that holds the same question, asked before and not to its end, is gone on with."""
    seed: int = 0
    """Seed of sampling."""


@dataclass(frozen=True)
class AskedModelConfig:
    """The model that is asked."""

    path: str = ""
    """Hugging Face folder or hub name, for engines of our own; or the URL of an OpenAI-compatible endpoint, as in http://host:8000/v1."""
    dtype: str = "bfloat16"
    """Compute type of our engines: bfloat16 or float32."""

    @property
    def is_endpoint(self) -> bool:
        """Whether `path` is an endpoint and no model of ours."""
        return self.path.startswith(("http://", "https://"))


@dataclass(frozen=True)
class EndpointConfig:
    """An OpenAI-compatible endpoint, where `model.path` is its URL."""

    model: str = ""
    """Name of the model there; empty: the only one it lists."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the key; where it is not set, none is sent."""
    in_flight: int = 16
    """Requests that wait for an answer at once."""
    requests_per_minute: float = 0.0
    """Most requests sent in a minute; 0: as many as it takes."""
    attempts: int = 8
    """Times a request is sent before it is given up: after a limit, a lost connection, a server's error or an unreadable answer."""
    timeout_s: float = 180.0
    """Longest wait for one answer."""
    prompt_price: float = 0.0
    """Price of a million prompt tokens; the currency is yours."""
    completion_price: float = 0.0
    """Price of a million completion tokens."""


@dataclass(frozen=True)
class AskedSamplingConfig:
    """How completions are sampled."""

    n: int = 1
    """Completions of a prompt."""
    temperature: float = 0.0
    """Sampling temperature; 0 is greedy."""
    top_p: float = 1.0
    """Nucleus mass; 1 samples from the whole distribution."""
    max_tokens: int = 1024
    """Longest completion, in tokens; what is longer is cut and counted as truncated."""


@dataclass(frozen=True)
class HeldoutDataConfig:
    """What `toolrl evaluate heldout` asks; the benchmarks bring their own prompts."""

    heldout: str = ""
    """Rows with a reference: a JSONL file, a folder made by `toolrl prepare` (its part heldout), or `demo://heldout`."""
    limit: int = 0
    """Items asked, spread evenly over the categories, the first of each; 0: all. A score of a part is none of the benchmark."""


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of `toolrl evaluate`."""

    run: FolderConfig = field(default_factory=FolderConfig)
    model: AskedModelConfig = field(default_factory=AskedModelConfig)
    data: HeldoutDataConfig = field(default_factory=HeldoutDataConfig)
    prompt: PromptConfig = field(default_factory=PromptConfig)
    sampling: AskedSamplingConfig = field(default_factory=AskedSamplingConfig)
    engine: EngineConfig = field(default_factory=lambda: EngineConfig(max_model_len=8192))
    endpoint: EndpointConfig = field(default_factory=EndpointConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)


@dataclass(frozen=True)
class DistillDataConfig:
    """Prompts to answer, and which of the answers to keep."""

    train: str = ""
    """Rows with a reference: a JSONL file, a folder made by `toolrl prepare` (its part train), or `demo://train`."""
    subset: str = ""
    """Part of the rows, in percent of the dialogues, as in 0-50; empty: all. Parts that do not meet share no dialogue."""
    limit: int = 0
    """Prompts asked, the first of them; 0: all."""
    keep: str = "shortest"
    """Which of a prompt's right completions are kept: shortest (in tokens), first (then none is asked after it), or all."""


@dataclass(frozen=True)
class DistillConfig:
    """Settings of `toolrl distill`."""

    run: FolderConfig = field(default_factory=lambda: FolderConfig(dir="runs/distill"))
    model: AskedModelConfig = field(default_factory=AskedModelConfig)
    data: DistillDataConfig = field(default_factory=DistillDataConfig)
    prompt: PromptConfig = field(default_factory=PromptConfig)
    sampling: AskedSamplingConfig = field(default_factory=lambda: AskedSamplingConfig(n=4, temperature=0.7))
    engine: EngineConfig = field(default_factory=lambda: EngineConfig(max_model_len=8192))
    endpoint: EndpointConfig = field(default_factory=EndpointConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
