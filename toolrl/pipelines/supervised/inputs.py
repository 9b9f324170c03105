"""Everything a supervised run needs that can be checked before anything starts.

    data.train ─ subset ─ reasoning? ─> token ids ─> rows to train        eval.heldout ─> prompts to answer, and who judges the answers
    data.heldout ─────── reasoning? ─> token ids ─> rows to measure

A wrong path, a malformed row, held-out rows among those trained on or a verifier that fails its audit ends here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from toolrl.config.sft import SftConfig
from toolrl.data.contamination import training_hits
from toolrl.data.demonstrations import Demonstrated, load_demonstrations, without_reasoning
from toolrl.data.draws import permutation
from toolrl.data.source import load_prompts
from toolrl.data.subset import subset_of
from toolrl.data.template import PromptTemplate
from toolrl.data.tokenizer import ChatTokenizer
from toolrl.errors import DataError
from toolrl.learner.packing import Demonstration, trained_tokens
from toolrl.pipelines.inputs import HELDOUT_SALT, heldout_draws, require_disjoint, require_trainable
from toolrl.pipelines.supervised.batches import with_steps
from toolrl.protocols import Verifier
from toolrl.reward.audit import AuditReport, audit
from toolrl.reward.observed import Observed
from toolrl.reward.portable import require_portable
from toolrl.reward.verifier import make_verifier
from toolrl.types import Draw, Prompt


@dataclass(frozen=True)
class Encoded:
    """Demonstrations as token ids."""

    rows: tuple[Demonstration, ...]
    left_out: int
    """Those longer than `data.max_tokens`."""

    @property
    def tokens(self) -> int:
        """Tokens with a loss."""
        return sum(map(trained_tokens, self.rows))


@dataclass(frozen=True)
class Judged:
    """Prompts that engines answer while the run goes on, and who judges the answers."""

    draws: tuple[Draw, ...]
    verifier: Verifier
    audit: AuditReport | None


@dataclass(frozen=True)
class SupervisedInputs:
    """What a run starts from, checked."""

    config: SftConfig
    """With its steps counted."""
    model_path: str
    template: PromptTemplate
    tokenizer: ChatTokenizer
    train: Encoded
    heldout: Encoded | None
    judged: Judged | None
    """None: no engine is started."""
    contamination: str
    """Which benchmarks the run trains on, in a line; empty where none."""


def load_supervised(config: SftConfig, model_path: str) -> SupervisedInputs:
    """Read and check what `config` names; `model_path` is the folder or hub name of the start model. Raises UserError kin."""
    require_trainable(config.learner, model_path)
    template = PromptTemplate.load(config.prompt.template, model_path=model_path)
    tokenizer = ChatTokenizer(model_path, template.chat)
    train = subset_of(_load(config.data.train, config), config.data.subset, prompt_of=lambda row: row[0])
    heldout = _load(config.data.heldout, config) if config.data.heldout else ()
    prompts = [prompt for prompt, _ in train]
    require_disjoint(prompts, [prompt for prompt, _ in heldout], "data.heldout")
    rows = encoded(train, config, tokenizer, template, "data.train")
    return SupervisedInputs(
        config=with_steps(config, len(rows.rows)),
        model_path=model_path,
        template=template,
        tokenizer=tokenizer,
        train=rows,
        heldout=encoded(_some(heldout, config), config, tokenizer, template, "data.heldout") if heldout else None,
        judged=_judged(config, prompts, tokenizer, template) if config.eval.heldout else None,
        contamination=training_hits(prompts),
    )


def encoded(loaded: Sequence[Demonstrated], config: SftConfig, tokenizer: ChatTokenizer, template: PromptTemplate, setting: str) -> Encoded:
    """Return prompts and completions as token ids, without those over `data.max_tokens`. Raises DataError where none is left."""
    rows, lengths = [], []
    for prompt, completion in loaded:
        before, after = tokenizer.encode_prompt(prompt, template), tokenizer.encode_completion(completion)
        lengths.append(len(before) + len(after))
        if lengths[-1] <= config.data.max_tokens:
            rows.append(Demonstration(np.concatenate([before, after]), prompt_tokens=len(before)))
    if not rows:
        raise DataError(
            f"data.max_tokens: none of {len(lengths)} demonstrations of {setting} has {config.data.max_tokens} tokens or fewer "
            f"(the shortest has {min(lengths)}); raise it"
        )
    return Encoded(tuple(rows), len(lengths) - len(rows))


def _load(spec: str, config: SftConfig) -> Sequence[Demonstrated]:
    rows = load_demonstrations(spec)
    return rows if config.data.reasoning else without_reasoning(rows)


def _some(rows: Sequence[Demonstrated], config: SftConfig) -> list[Demonstrated]:
    """Return up to `eval.prompts` of the rows, the same ones each time and of all parts of the file."""
    order = permutation(config.run.seed ^ HELDOUT_SALT, 0, len(rows))
    return [rows[i] for i in order[: config.eval.prompts]]


def _judged(config: SftConfig, train: Sequence[Prompt], tokenizer: ChatTokenizer, template: PromptTemplate) -> Judged:
    prompts = load_prompts(config.eval.heldout, part="heldout")
    require_disjoint(train, prompts, "eval.heldout")
    verifier = make_verifier(config.reward.mode, config.reward.no_call, config.reward.functions)
    require_portable(verifier)
    report = audit(verifier, prompts[: config.reward.audit_rows], config.reward.deadline_s) if config.reward.audit_rows else None
    if report is not None:
        report.require_sound()
    encode = partial(tokenizer.encode_prompt, template=template)
    draws = heldout_draws(prompts, encode, max_prompt_tokens=config.data.max_tokens, most=config.eval.prompts, seed=config.run.seed)
    return Judged(draws, Observed(verifier), report)
