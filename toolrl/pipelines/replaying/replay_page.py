"""What `toolrl replay` tells a person: a page of plain text, from the verdict to the loss and its gradient."""

from __future__ import annotations

from collections.abc import Sequence

from toolrl.calls.rules import RULES
from toolrl.pipelines.replaying.replayed import Check, Replayed
from toolrl.pipelines.review.page import cut, named, page, reward, table, title, wrap

TOKENS = 64
"""Tokens of a completion that the page shows whole; of a longer one those at its ends and those that weigh most in the loss."""
ENDS = 12
"""Tokens shown at either end of such a completion."""
TURN_LINES = 12
"""Lines of the last turn that the page shows."""
PIECE = 16
"""Columns of a token's text."""


def text(replayed: Replayed, width: int) -> str:
    """Return the page, `width` columns wide."""
    sections = (_head(replayed, width), _prompt(replayed, width), _tokens(replayed, width), _replay(replayed, width))
    return (
        page(sections, width)
        + f"\n\nits verdict: toolrl explain {replayed.plan.run.path} --sample {replayed.plan.draw}.{replayed.plan.sample}"
    )


def _head(replayed: Replayed, width: int) -> list[str]:
    plan, found, row = replayed.plan, replayed.inspection, replayed.plan.row
    facts = [
        f"{'should have made' if plan.failed else 'made'} version {plan.version}",
        f"optimizer step {found.place.optimizer_step + 1} of {found.optimizer_steps}",
        f"rank {found.rank}, micro-batch {found.place.micro_batch + 1} of {found.micro_batches}",
    ]
    rows = [("its batch", row["outcome_reason"])] if plan.failed else []
    rows += [("reward", reward(row["reward"])), ("reason", row["reason"])]
    rows += [
        (name, value)
        for name, value in (("rule", RULES.get(row["reason"])), *((key, row[key]) for key in ("path", "expected", "got")))
        if value
    ]
    rows += [("advantage", _beside(found.advantage, row["advantage"], "+.6f"))]
    rows += [("loss share", _beside(found.loss_share, row["loss_share"], "+.9g")), *_gradient(replayed)]
    lines = title(f"sample {plan.draw}:{plan.sample} of {plan.run.path}", facts, width)
    return [*lines, *(line for name, value in rows for line in named(name, value, width))]


def _beside(value: float, logged: float | None, digits: str) -> str:
    """Return a value of the replay, and how it differs from the one that the run logged, if it did."""
    if logged is None:
        return f"{value:{digits}}"
    difference = value - logged
    said = "the logged one to the last bit" if difference == 0 else f"logged {logged:{digits}}, difference {difference:+.1e}"
    return f"{value:{digits}}; {said}"


def _gradient(replayed: Replayed) -> list[tuple[str, str]]:
    found = replayed.inspection
    return [
        ("gradient", f"norm {found.gradient_norm:.6g}, of the whole step {found.step_gradient_norm:.6g}; cosine {found.cosine:+.4f}"),
        ("", f"{found.projection:+.3%} of the step's gradient, along it"),
    ]


def _prompt(replayed: Replayed, width: int) -> list[str]:
    prompt = replayed.prompt
    lines = title(f"prompt {prompt.id}", [f"source {prompt.source}", f"{len(replayed.prompt_ids)} tokens"], width)
    return lines + [line for message in prompt.messages[-1:] for line in named(message.role, message.content, width, TURN_LINES)]


def _tokens(replayed: Replayed, width: int) -> list[str]:
    row, terms = replayed.plan.row, replayed.inspection.tokens
    spans = ", ".join(str(span["version"]) for span in row["spans"])
    lines = title("completion", [f"{row['num_tokens']} tokens", row["finish_reason"], f"weights of version {spans}"], width)
    lines += wrap(_LEGEND, width)
    shown = _shown([abs(float(loss)) for loss in terms.loss])
    rows = _rows(replayed, shown)
    lines += table(rows, right=range(2, len(rows[0])))
    if len(shown) < len(terms.loss):
        lines += wrap(f"{len(terms.loss) - len(shown)} tokens not shown, which weigh less in the loss; --json has them all", width)
    return lines


_LEGEND = (
    "log-probabilities: engine, while sampling; start, the learner's before the batch; now, in this optimizer step where others came "
    "before it. *: the clip decides. weight: for having been sampled by the engine"
)


def _shown(weights: Sequence[float]) -> list[int]:
    """Return the tokens to show, in order: all, or those at the ends and the heaviest of the others."""
    number = len(weights)
    if number <= TOKENS:
        return list(range(number))
    middle = sorted(range(ENDS, number - ENDS), key=lambda i: (-weights[i], i))[: TOKENS - 2 * ENDS]
    return [*range(ENDS), *sorted(middle), *range(number - ENDS, number)]


def _rows(replayed: Replayed, shown: Sequence[int]) -> list[list[str]]:
    """Return the table of the tokens: `start` is the learner before the batch, `now` in the sample's optimizer step."""
    terms, several = replayed.inspection.tokens, replayed.inspection.place.optimizer_step > 0
    heads = ["", "token", "engine", "start", *(["now"] if several else []), "ratio ", "weight"]
    rows = [[*heads, *(["kl"] if terms.kl is not None else []), "loss"]]
    for i in shown:
        cells = [str(i), cut(repr(replayed.pieces[i])[1:-1], PIECE), _nats(terms.engine_logp[i]), _nats(terms.old_logp[i])]
        cells += [_nats(terms.logp[i])] if several else []
        cells += [f"{terms.ratio[i]:.3f}{'*' if terms.clipped[i] else ' '}", f"{terms.importance[i]:.3f}"]
        cells += [f"{terms.kl[i]:.1e}"] if terms.kl is not None else []
        rows.append([*cells, f"{terms.loss[i]:+.1e}"])
    return rows


def _nats(value: float) -> str:
    return f"{round(float(value), 3) + 0.0:.3f}"  # no minus before a zero


def _replay(replayed: Replayed, width: int) -> list[str]:
    plan, num = replayed.plan, len(replayed.checks)
    begin = "the start model" if plan.checkpoint is None else plan.checkpoint.name
    between = f"{num} {'batch' if num == 1 else 'batches'} trained again" if num else "no batch in between"
    lines = title("replay", [f"from {begin}", between], width)
    said = [*([_checked(replayed.checks)] if replayed.checks else []), *plan.notes]
    return [*lines, *(f"  {line}" for sentence in said for line in wrap(sentence, width - 2))]


def _checked(checks: Sequence[Check]) -> str:
    worst = max(checks, key=lambda check: check.max_difference)
    if worst.max_difference == 0:
        return "every loss share of those batches is the logged one to the last bit"
    return f"largest difference of a loss share from the logged one: {worst.max_difference:.1e}, where version {worst.version} was made"
