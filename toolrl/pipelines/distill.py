"""`toolrl distill`: prompts -> samples of a stronger model -> those that the verifier calls right, as demonstrations.

    settings ─> prompts, verifier, model ─┬─> missing asks ─> our engines or an endpoint ─> replies.jsonl ─┐
                └─ a user's mistake ends  └─────────────────── verdicts <──────────────────────────────────┘
                   here: nothing written                          └─> demonstrations.jsonl, report.json

Killed at any moment, the same command asks only for what is missing, and keeps what it would have kept. Asks that had no answer are asked
again by the next start; more samples, more prompts or another choice among the right ones need no new folder.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

from toolrl.actors.cluster import LOCAL, local_nodes
from toolrl.actors.placement import engine_bundles, fit
from toolrl.actors.session import Session
from toolrl.config.asking import DistillConfig
from toolrl.config.load import load, to_yaml
from toolrl.data.jsontext import dumps
from toolrl.data.source import load_prompts
from toolrl.data.subset import subset_of
from toolrl.data.template import PromptTemplate
from toolrl.errors import RolloutError
from toolrl.pipelines.asking import AskedModel, answer, asked_model, asked_of, sampling_of, with_model_name
from toolrl.pipelines.distilling import folder
from toolrl.pipelines.distilling.candidates import Candidates
from toolrl.pipelines.distilling.page import text
from toolrl.pipelines.distilling.progress import Progress
from toolrl.pipelines.distilling.report import cost, price_of, report, this_start
from toolrl.pipelines.inputs import resolve_model
from toolrl.protocols import Verifier
from toolrl.reward.audit import audit
from toolrl.reward.judge import judge
from toolrl.reward.verifier import make_verifier, users_deadline
from toolrl.rollout.journal import Journal
from toolrl.rollout.replies import Ask, Reply
from toolrl.rollout.traffic import Traffic
from toolrl.types import Prompt, Verdict


@dataclass(frozen=True)
class Inputs:
    """What is asked, and who, checked."""

    config: DistillConfig
    """With the name of the endpoint's model."""
    model: AskedModel
    verifier: Verifier
    prompts: tuple[Prompt, ...]
    """Those that are asked."""
    of: int
    """How many there are."""
    asked: Mapping[str, Any]
    """What determines the replies."""

    def candidates(self, replies: Journal) -> Candidates:
        """Return the samples that are wanted, none of them judged yet."""
        deadline_s = users_deadline(self.verifier, self.config.reward.deadline_s)

        def judged(prompt: Prompt, said: str) -> Verdict:
            return judge(self.verifier, prompt, said, deadline_s)

        config, sampling = self.config, sampling_of(self.config)
        samples, keep, seed = config.sampling.n, config.data.keep, config.run.seed
        return Candidates(self.prompts, replies, samples=samples, keep=keep, sampling=sampling, seed=seed, judge=judged)


def run_distill(arguments: Sequence[str], *, dry_run: bool, as_json: bool, width: int) -> int:
    """Run `toolrl distill` and return its exit code. Raises ToolRLError."""
    config = load(DistillConfig, arguments)
    if dry_run:
        print(_plan(config))
        return 0
    with Session() as session:
        content = distill(config, session, quiet=as_json)
    print(json.dumps(content) if as_json else text(content, Path(config.run.dir).resolve(), width))
    return 0


def distill(config: DistillConfig, session: Session, *, quiet: bool = False) -> Mapping[str, Any]:
    """Ask what is missing, write what is kept, and return the report. Raises ToolRLError.

    Where nothing is missing, what is there is still judged and written anew: a reference or a function may have been mended meanwhile.
    """
    path = Path(config.run.dir).resolve()
    folder.check(path)
    inputs = load_inputs(config, path)
    with folder.opened(path, inputs.asked) as replies:
        candidates = inputs.candidates(replies)
        missing = candidates.missing()
        before = None if missing else folder.ended(path, inputs.config)
        folder.begin(path, inputs.config, inputs.model.template.source)
        content = _finish(path, inputs, candidates, missing, replies, session, quiet=quiet or before is not None)
        content["this_start"] = before["this_start"] if before else content["this_start"]
        folder.write_report(path, content)
        return content


def load_inputs(config: DistillConfig, path: Path) -> Inputs:
    """Read and check what `config` names. Raises UserError kin."""
    verifier = make_verifier(config.reward.mode, config.reward.no_call, config.reward.functions)
    rows = load_prompts(config.data.train, part="train")
    part = subset_of(rows, config.data.subset, prompt_of=lambda prompt: prompt)
    prompts = part[: config.data.limit] if config.data.limit else part
    if config.reward.audit_rows:
        audit(verifier, prompts[: config.reward.audit_rows], config.reward.deadline_s).require_sound()
    model = asked_model(config)
    config = with_model_name(config, path / folder.REPLIES)
    return Inputs(config, model, verifier, prompts, len(rows), asked_of(config, model, _digest(rows, model.template)))


def _finish(
    path: Path, inputs: Inputs, candidates: Candidates, missing: Sequence[Ask], replies: Journal, session: Session, *, quiet: bool
) -> dict[str, Any]:
    """Ask, choose, write what is kept, and return the report. Raises RolloutError where nobody had an answer."""
    config, traffic, start = inputs.config, Traffic(), time.monotonic()
    spent = cost(config, replies)
    price = None if spent is None else partial(price_of, config.endpoint)
    there = len(candidates.judged)
    progress = Progress(candidates, there=there, wanted=len(missing), traffic=traffic, price=price, spent=spent or 0.0, quiet=quiet)

    def each(ask: Ask, reply: Reply) -> list[Ask]:
        more = candidates.take(ask)
        progress.took(reply, more)
        return more

    with progress:
        failed = answer(config, inputs.model, missing, replies, session, each=each, traffic=traffic)
    seconds = time.monotonic() - start
    if failed and not candidates.judged:
        first = next(iter(failed.values()))
        raise RolloutError(f"none of {len(failed):,} asks was answered; the first: {first}. Mend the cause and give the same command again")
    kept = list(candidates.kept())
    content = report(config, candidates, kept, failed)
    content["this_start"] = this_start(progress.answered, seconds if missing else 0.0, progress.tokens_per_s, traffic)
    folder.write_demonstrations(path, kept, replies)
    return content


def _digest(rows: Sequence[Prompt], template: PromptTemplate) -> str:
    """Return what tells these prompts from others, as the model sees them: all rows, so that a further part goes into the same folder."""
    found = blake2b(digest_size=8)
    for prompt in rows:
        found.update(f"{prompt.id}\n{dumps(template.render(prompt))}\n".encode())
    return found.hexdigest()


def _plan(config: DistillConfig) -> str:
    """Return what `--dry-run` prints. Raises UserError kin."""
    path = Path(config.run.dir).resolve()
    folder.check(path)
    inputs = load_inputs(config, path)
    config = inputs.config
    lines = [to_yaml(config).rstrip(), "", f"prompts: {len(inputs.prompts):,} of {inputs.of:,}, up to {config.sampling.n} samples each"]
    if config.model.is_endpoint:
        lines.append(f"model: {config.endpoint.model} at {config.model.path}")
    else:
        lines.append(f"model: {resolve_model(config.model.path)}")
        if config.cluster.address == LOCAL:
            placement = fit(engine_bundles(config), local_nodes(config.cluster))
            lines += ["placement:", placement.table()]
            placement.require_fit()
    return "\n".join([*lines, "everything checked; nobody was asked"])
