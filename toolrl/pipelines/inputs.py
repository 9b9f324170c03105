"""Everything a run needs that can be checked before anything starts: model folder, tokenizer, prompts, verifier.

A wrong path, a malformed row, a held-out prompt among the training prompts or a verifier that fails its audit ends here,
in seconds, with nothing started and nothing written.
"""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from toolrl.config.learning import LearnerConfig
from toolrl.config.schema import RlConfig
from toolrl.data.contamination import training_hits
from toolrl.data.draws import PromptStream
from toolrl.data.fingerprint import digest
from toolrl.data.source import load_prompts
from toolrl.data.subset import subset_of
from toolrl.data.template import PromptTemplate
from toolrl.data.tokenizer import ChatTokenizer
from toolrl.errors import DataError
from toolrl.pipelines.started_from import Facts, model_facts, rows_facts
from toolrl.protocols import Verifier
from toolrl.reward.audit import AuditReport, audit
from toolrl.reward.observed import Observed
from toolrl.reward.portable import require_portable
from toolrl.reward.verifier import make_verifier
from toolrl.types import Draw, Prompt

_DEMO_MODEL = "demo://start"
_BLANK_MODEL = "demo://blank"
HELDOUT_SALT = 0x5EED
"""Keeps the seeds of evaluation apart from those of training draws of the same number."""


@dataclass(frozen=True)
class Inputs:
    """What a run starts from, checked."""

    model_path: str
    template: PromptTemplate
    tokenizer: ChatTokenizer
    train: PromptStream
    heldout: tuple[Draw, ...]
    verifier: Verifier
    audit: AuditReport | None
    contamination: str
    """Which benchmarks the run trains on, in a line; empty where none."""
    started_from: Facts


def resolve_model(path: str) -> str:
    """Return the folder of `demo://start`, or `path` as it is."""
    if path == _DEMO_MODEL:
        return str(importlib.resources.files("toolrl") / "testing" / "start")
    return str(Path(path).resolve()) if Path(path).is_dir() else path


@contextmanager
def start_model(path: str, *, seed: int) -> Iterator[str]:
    """Yield the folder of a start model. That of `demo://blank` is made here, with random weights, and is gone afterwards."""
    if path != _BLANK_MODEL:
        yield resolve_model(path)
        return
    from toolrl.testing.demo_model import make_model  # needs torch, which checks of a configuration do not

    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # to save a model, Transformers imports DeepSpeed, which warns where it has to guess
    with TemporaryDirectory(prefix="toolrl-blank-") as folder:
        make_model(Path(folder), seed=seed)
        yield folder


def require_trainable(learner: LearnerConfig, model_path: str) -> None:
    """Raise UserError where the ranks that share a sequence cannot share the model's heads, or LoRA has no layers to go beside."""
    if learner.sequence_parallel == 1 and not learner.lora_rank:
        return
    from toolrl.learner.lora import require_targets  # these need torch, which checks of most configurations do not
    from toolrl.learner.model import read_config
    from toolrl.learner.sequence import check_heads

    config = read_config(model_path)
    check_heads(config, learner.sequence_parallel)
    if learner.lora_rank:
        require_targets(config, learner.lora_targets)


def load_inputs(config: RlConfig) -> Inputs:
    """Read and check what `config` names. Raises UserError kin."""
    verifier = make_verifier(config.reward.mode, config.reward.no_call, config.reward.functions)
    require_portable(verifier)
    model_path = resolve_model(config.model.path)
    require_trainable(config.learner, model_path)
    template = PromptTemplate.load(config.prompt.template, model_path=model_path)
    tokenizer = ChatTokenizer(model_path, template.chat)

    encode = partial(tokenizer.encode_prompt, template=template)
    train = subset_of(load_prompts(config.data.train, part="train"), config.data.subset, prompt_of=lambda prompt: prompt)
    heldout = load_prompts(config.data.heldout, part="heldout") if config.data.heldout else ()
    require_disjoint(train, heldout, "data.heldout")
    report = audit(verifier, train[: config.reward.audit_rows], config.reward.deadline_s) if config.reward.audit_rows else None
    if report is not None:
        report.require_sound()
    longest, seed = config.data.max_prompt_tokens, config.run.seed
    draws = heldout_draws(heldout, encode, max_prompt_tokens=longest, most=config.eval.prompts, seed=seed)
    stream = PromptStream(train, encode=encode, max_prompt_tokens=longest, seed=seed)
    facts = {"model.path": model_facts(model_path), "data.train": rows_facts(train), "data.heldout": rows_facts(heldout)}
    return Inputs(model_path, template, tokenizer, stream, draws, Observed(verifier), report, training_hits(train), facts)


def heldout_draws(
    prompts: Sequence[Prompt], encode: Callable[[Prompt], NDArray[np.int32]], *, max_prompt_tokens: int, most: int, seed: int
) -> tuple[Draw, ...]:
    """Return what an evaluation during a run asks: up to `most` of the prompts, the same ones each time. Raises DataError."""
    if not prompts:
        return ()
    stream = PromptStream(prompts, encode=encode, max_prompt_tokens=max_prompt_tokens, seed=seed ^ HELDOUT_SALT)
    return tuple(stream.draw(i) for i in range(min(most, len(stream))))


def require_disjoint(train: Sequence[Prompt], heldout: Sequence[Prompt], setting: str) -> None:
    """Raise DataError where a held-out conversation is trained on: what is measured on it would be memory."""
    seen = {digest(prompt) for prompt in train}
    shared = [prompt.id for prompt in heldout if digest(prompt) in seen]
    if shared:
        raise DataError(
            f"{setting}: {len(shared)} of {len(heldout)} prompts are in data.train too (first: {shared[0]!r}); "
            "split the rows with `toolrl prepare`, or name other held-out rows"
        )
