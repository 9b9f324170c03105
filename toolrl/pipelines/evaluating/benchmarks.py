"""The benchmarks by name: what each needs to be read, and by which measures it is reported."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolrl.config.asking import EvaluateConfig
from toolrl.data.source import load_prompts
from toolrl.errors import ConfigError
from toolrl.evaluation.acebench.benchmark import AceBenchmark
from toolrl.evaluation.apibank.benchmark import ApiBankBenchmark
from toolrl.evaluation.benchmark import Benchmark, Item
from toolrl.evaluation.bfcl.benchmark import BfclBenchmark
from toolrl.evaluation.bfcl.categories import multi_turn_categories
from toolrl.evaluation.heldout_benchmark import HeldoutBenchmark
from toolrl.pipelines.evaluating.scores import CALLS, FORM, OFFICIAL, OURS
from toolrl.reward.verifier import make_verifier, users_deadline

NAMES = ("bfcl", "apibank", "acebench", "heldout")
FILES = {
    "apibank": "level1_dialogues.jsonl, level2_dialogues.jsonl, unified.jsonl",
    "acebench": "data_*.json and possible_answer/",
}
_MULTI_TURN = "multi_turn"
_IDLE = {
    "bfcl": ("--apibank-root", "--acebench-root", "--upstream-python"),
    "apibank": ("--acebench-root",),
    "acebench": ("--apibank-root",),
    "heldout": ("--data", "--categories", "--apibank-root", "--acebench-root", "--upstream-python"),
}
"""Options that mean nothing to a benchmark."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `toolrl evaluate` is told on its command line of a benchmark."""

    name: str
    data: Path | None = None
    """Folder of its files; None: where it keeps them itself."""
    apibank_root: Path | None = None
    """Upstream's api-bank folder, for rules that only it can apply."""
    acebench_root: Path | None = None
    """Upstream's ACEBench, likewise."""
    python: str = ""
    """The interpreter that runs these two; empty: this one."""
    categories: tuple[str, ...] = ()
    """Those to ask; none: all that have one turn. Of BFCL also `multi_turn`, all four of them."""

    @property
    def single_turn(self) -> tuple[str, ...]:
        """The categories that are asked one question a prompt."""
        return tuple(name for name in self.categories if not name.startswith(_MULTI_TURN))

    @property
    def multi_turn(self) -> tuple[str, ...]:
        """Those that upstream's own program asks. Raises ConfigError."""
        named = [name for name in self.categories if name.startswith(_MULTI_TURN) and self.name == "bfcl"]
        if not named:
            return ()
        return multi_turn_categories([] if _MULTI_TURN in named else named)


def load_benchmark(options: Options, config: EvaluateConfig) -> Benchmark:
    """Read a benchmark. Raises ConfigError for another name or category, and DataError for files that are missing or none of its."""
    if options.name not in NAMES:
        close = difflib.get_close_matches(options.name, NAMES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"name one of {', '.join(NAMES)}"
        raise ConfigError(f"evaluate: unknown benchmark {options.name!r}; {hint}")
    if options.name != "heldout" and config.data.heldout:
        raise ConfigError(f"data.heldout: without effect for {options.name}, which brings its own items; remove it")
    given: dict[str, object] = {"--data": options.data, "--categories": options.categories, "--apibank-root": options.apibank_root}
    given |= {"--acebench-root": options.acebench_root, "--upstream-python": options.python}
    if idle := [f"{option}: without effect for {options.name}; remove it" for option in _IDLE[options.name] if given[option]]:
        raise ConfigError(idle)
    if options.name == "heldout":
        return _heldout(config)
    if options.name == "bfcl":
        return _bfcl(options)
    if options.data is None:
        raise ConfigError(f"--data: got nothing; name the folder of {options.name}'s files ({FILES[options.name]})")
    python = options.python or sys.executable
    if options.name == "apibank":
        return ApiBankBenchmark.load(options.data, options.categories, root=options.apibank_root, python=python)
    return AceBenchmark.load(options.data, options.categories, root=options.acebench_root, python=python)


def _heldout(config: EvaluateConfig) -> Benchmark:
    if not config.data.heldout:
        raise ConfigError("data.heldout: got nothing; name rows with a reference, a prepared folder, or demo://heldout")
    verifier = make_verifier(config.reward.mode, config.reward.no_call, config.reward.functions)
    prompts = load_prompts(config.data.heldout, part="heldout")
    return HeldoutBenchmark(prompts, verifier, users_deadline(verifier, config.reward.deadline_s))


def _bfcl(options: Options) -> Benchmark:
    if options.single_turn or not options.categories:
        return BfclBenchmark.load(options.single_turn, options.data, tell)
    return BfclBenchmark((), Path(), tell)


def tell(line: str) -> None:
    """Say what takes a while, beside the result, which may be piped."""
    print(line, file=sys.stderr, flush=True)


def chosen(benchmark: Benchmark, limit: int) -> Sequence[Item]:
    """Return the items that are asked: the first `limit` of each category, spread evenly over them; all where it is 0."""
    if not limit or not benchmark.items:  # multi-turn questions are asked by upstream's own program
        return benchmark.items
    taken: dict[str, int] = {}
    each = max(1, limit // len({item.category for item in benchmark.items}))
    found = []
    for item in benchmark.items:
        if taken.get(item.category, 0) < each:
            taken[item.category] = taken.get(item.category, 0) + 1
            found.append(item)
    return found


def measures_of(benchmark: Benchmark) -> tuple[str, ...]:
    """Return what is reported: one's own prompts have no official rules, and a form that counts."""
    return (OURS, CALLS, FORM) if benchmark.name == "heldout" else (OFFICIAL, OURS, FORM)
