"""`toolrl evaluate BENCHMARK`: items -> completions -> verdicts, ours and the official ones -> averages with intervals, in a folder.

    benchmark ─ items ─┬─> a model: our engines or an endpoint, greedy, all in flight ─> replies.jsonl ─┬─> verdicts ─> scores.json
                       └─> --completions FILE ───────────────────────────────────────────────────────────┘

Killed at any moment, the same command asks only for what is missing. A score is of all items asked or there is none: where some have no
answer the command fails, says why, and asks them again at its next start.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from toolrl import __version__
from toolrl.actors.cluster import LOCAL, local_nodes
from toolrl.actors.placement import engine_bundles, fit
from toolrl.actors.session import Session
from toolrl.config.asking import EvaluateConfig
from toolrl.config.load import load, to_yaml
from toolrl.data.draws import sampling_seed
from toolrl.data.jsontext import dumps
from toolrl.data.template import PromptTemplate
from toolrl.errors import ReplyError, RolloutError, UserError
from toolrl.evaluation.benchmark import Benchmark, Item, Official, Outcome
from toolrl.evaluation.compare import Comparison, compare
from toolrl.pipelines.asking import AskedModel, answer, asked_model, asked_of, sampling_of, with_model_name
from toolrl.pipelines.evaluating import page, stored
from toolrl.pipelines.evaluating.benchmarks import Options, chosen, load_benchmark, measures_of
from toolrl.pipelines.evaluating.given import given_replies
from toolrl.pipelines.evaluating.multi_turn import counts_of, multi_turn_verdicts
from toolrl.pipelines.evaluating.progress import Progress
from toolrl.pipelines.evaluating.scores import OFFICIAL, OURS, Scores, score, stored_rights
from toolrl.pipelines.evaluating.scores import as_json as scores_as_json
from toolrl.rollout.journal import Journal
from toolrl.rollout.replies import Ask, Key, Reply

_COMPARED = ("prompt_id", "category", "reason", "official", "content_right", "format_right")
"""Columns that a comparison reads."""


@dataclass(frozen=True)
class Evaluated:
    """What came of an evaluation."""

    model: str
    outcomes: tuple[Outcome, ...]
    scores: Scores
    official: Official
    folder: Path
    content: Mapping[str, Any]
    """What scores.json holds."""


def evaluate(
    arguments: Sequence[str], options: Options, *, completions: Path | None, against: Path | None, dry_run: bool, as_json: bool, width: int
) -> int:
    """Run `toolrl evaluate` and return its exit code.

    Args:
        arguments: Settings.
        options: The benchmark.
        completions: Lines `{"id", "text"}` to evaluate instead of asking a model.
        against: The folder of another evaluation of the same benchmark, to compare with.
        dry_run: Check everything, and ask nobody.
        as_json: Print scores.json instead of a page.
        width: Columns of the page.

    Raises:
        ToolRLError: Settings, data or folder are wrong, or nobody answers.
    """
    given = () if completions is None else (f"model.path={completions}",)
    config = load(EvaluateConfig, [f"run.dir=runs/evaluate/{options.name}", *given, *arguments])
    benchmark = load_benchmark(options, config)
    if options.multi_turn and completions is not None:
        raise UserError("--completions: multi-turn categories ask a model turn by turn; name a --model, or other --categories")
    if against is not None and (other := stored.read_scores(against)["benchmark"]) != benchmark.name:
        raise UserError(f"--against: {against} is an evaluation of {other}, not of {benchmark.name}; name another folder")
    if against is not None and against.resolve() == Path(config.run.dir).resolve():
        raise UserError(f"--against: {against} is the folder that is written; name another --out")
    if against is not None:
        stored.read_items(against, _COMPARED)  # what cannot be read is told now, and not after the last answer
    if dry_run:
        print(_plan(config, benchmark, completions))
        return 0
    with Session() as session:
        found = measure(config, benchmark, session, completions=completions, multi_turn=options.multi_turn, quiet=as_json)
    rows = [] if against is None else comparisons(against, found.folder)
    if as_json:
        print(json.dumps({**found.content, "against": [{"what": what, **asdict(row)} for what, row in rows]}))
        return 0
    print(page.text(benchmark, found.model, found.outcomes, found.scores, found.official, found.folder, width))
    if against is not None:
        print("\n" + page.compared(rows, (str(against), str(found.folder)), width))
    return 0


def measure(
    config: EvaluateConfig,
    benchmark: Benchmark,
    session: Session,
    *,
    completions: Path | None = None,
    multi_turn: Sequence[str] = (),
    quiet: bool = False,
) -> Evaluated:
    """Evaluate a model, or given completions, and write the folder. Raises ToolRLError.

    Args:
        config: Settings.
        benchmark: What is asked.
        session: Where engines are started, or are kept.
        completions: A file of completions, in place of a model.
        multi_turn: Categories of BFCL that upstream's own program asks besides.
        quiet: Whether to tell no progress.
    """
    items = chosen(benchmark, config.data.limit)
    folder = Path(config.run.dir).resolve()
    stored.check(folder, asks=completions is None)
    turns = Official()
    if completions is not None:
        template, replies = PromptTemplate.load(config.prompt.template), given_replies(completions, items)
        stored.make(folder)
        stored.begin(folder, to_yaml(config), template)
    else:
        asked = asked_model(config)
        template, config = asked.template, with_model_name(config, folder / stored.REPLIES)
        replies = _ask(config, asked, items, folder, session, quiet=quiet)
        if multi_turn:
            turns = multi_turn_verdicts(config, asked, multi_turn, folder / stored.OFFICIAL / "multi_turn")
    texts = {key: reply.text for key, reply in replies.items()}
    official = benchmark.official(texts, folder / stored.OFFICIAL)
    outcomes = tuple(Outcome(i, texts[i.id], benchmark.verdict(i, texts[i.id]), official.right.get(i.id)) for i in items)
    scores = score(benchmark.averages, outcomes, measures_of(benchmark), counts_of(turns))
    stored.write_items(folder, outcomes, replies, template, config.model.path)
    truncated = sum(reply.finish_reason == "length" for reply in replies.values())
    content = _content(config, benchmark, outcomes, scores, official, turns, truncated)
    stored.write_scores(folder, content)
    return Evaluated(config.model.path, outcomes, scores, official, folder, content)


def _content(
    config: EvaluateConfig,
    benchmark: Benchmark,
    outcomes: Sequence[Outcome],
    scores: Scores,
    official: Official,
    turns: Official,
    truncated: int,
) -> dict[str, Any]:
    """Return what scores.json holds."""
    asked = {outcome.item.id for outcome in outcomes}
    return {
        "benchmark": benchmark.name,
        "model": config.model.path,
        "items": len(outcomes),
        "items_of_benchmark": len(benchmark.items),
        **scores_as_json(scores),
        "official_scores": {**official.scores, **turns.scores},
        "official_not_run": official.not_run,
        "official_note": " ".join(filter(None, (official.note, turns.note))),
        "multi_turn": dict(turns.right),
        "known": {known.id: known.why for known in benchmark.known if known.id in asked},
        "truncated": truncated,
        "toolrl": __version__,
    }


def comparisons(first: Path, second: Path, measure: str = "") -> list[tuple[str, Comparison]]:
    """Return two evaluations compared, overall and by category.

    `measure` says what is right, as in `scores`; none: the official rules where they judged every item of both, else our verdict.
    """
    one, two = (stored.read_items(folder, _COMPARED) for folder in (first, second))
    measure = measure or (OFFICIAL if all(row["official"] is not None for row in (*one, *two)) else OURS)
    right = [stored_rights(measure, rows) for rows in (one, two)]
    of_category: dict[str, list[str]] = {}
    for row in one:
        if row["prompt_id"] in right[0]:
            of_category.setdefault(row["category"], []).append(row["prompt_id"])
    parts = {"all": list(right[0]), **(of_category if len(of_category) > 1 else {})}
    found = {what: compare({key: right[0][key] for key in keys}, right[1]) for what, keys in parts.items()}
    return [(what, comparison) for what, comparison in found.items() if comparison is not None]


def _ask(
    config: EvaluateConfig, asked: AskedModel, items: Sequence[Item], folder: Path, session: Session, *, quiet: bool
) -> dict[str, Reply]:
    """Return the reply to each item by its id. Raises RolloutError where one has none."""
    sampling = sampling_of(config)
    asks = [Ask(item.prompt, 0, sampling, sampling_seed(config.run.seed, number)) for number, item in enumerate(items)]
    stored.make(folder)
    with Journal(folder / stored.REPLIES, asked_of(config, asked, digest_of(items, asked.template))) as journal:
        stored.begin(folder, to_yaml(config), asked.template)  # not before the journal says that what lies there is of the same question
        progress = Progress(len(asks), sum(ask.key in journal for ask in asks), quiet=quiet)
        failed = answer(config, asked, asks, journal, session, each=progress.told)
        progress.end()
        if failed:
            raise RolloutError(_unanswered(failed, len(asks)))
        return {item.id: journal[item.id, 0] for item in items}


def digest_of(items: Sequence[Item], template: PromptTemplate) -> str:
    """Return what tells these items from others: their prompts as the model sees them, in order."""
    told = "\n".join(f"{item.id} {dumps(template.render(item.prompt))}" for item in items)
    return blake2b(told.encode(), digest_size=8).hexdigest()


def _unanswered(failed: Mapping[Key, ReplyError], asked: int) -> str:
    first = next(iter(failed.values()))
    return (
        f"{len(failed)} of {asked} items have no answer, so there is no score; the first: {first}. "
        "The others are kept: mend the cause and give the same command again"
    )


def _plan(config: EvaluateConfig, benchmark: Benchmark, completions: Path | None) -> str:
    """Return what `--dry-run` prints. Raises UserError kin."""
    items = chosen(benchmark, config.data.limit)
    stored.check(Path(config.run.dir).resolve(), asks=completions is None)
    lines = [to_yaml(config).rstrip(), "", f"{benchmark.title}: {len(items):,} of {len(benchmark.items):,} items"]
    if completions is not None:
        given_replies(completions, items)
        lines.append(f"completions: {completions}")
    else:
        asked_model(config)
        lines.append(f"model: {config.model.path}")
        if not config.model.is_endpoint and config.cluster.address == LOCAL:
            placement = fit(engine_bundles(config), local_nodes(config.cluster))
            lines += ["placement:", placement.table()]
            placement.require_fit()
    return "\n".join([*lines, "everything checked; nobody was asked"])
