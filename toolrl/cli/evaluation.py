"""The commands that measure a model: evaluate."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any


def add_evaluate(parsers: Any) -> None:
    """Add `toolrl evaluate`."""
    about = "measure a model on BFCL, API-Bank, ACEBench or your own held-out prompts"
    parser = parsers.add_parser("evaluate", help=about, description=f"{about[0].upper()}{about[1:]}.")
    parser.add_argument("benchmark", metavar="BENCHMARK", help="bfcl, apibank, acebench or heldout")
    parser.add_argument("--model", metavar="MODEL", help="model folder, hub name, or URL of an endpoint: the setting model.path")
    parser.add_argument("--completions", type=Path, metavar="FILE", help='lines {"id", "text"} to evaluate instead of asking a model')
    parser.add_argument("--out", metavar="DIR", help="folder to write: the setting run.dir (default: runs/evaluate/BENCHMARK)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the benchmark's files")
    parser.add_argument("--categories", default="", metavar="NAME,…", help="those to ask (default: all that have one turn)")
    parser.add_argument("--apibank-root", type=Path, metavar="DIR", help="upstream's api-bank folder, whose own code then judges too")
    parser.add_argument("--acebench-root", type=Path, metavar="DIR", help="upstream's ACEBench, whose own code then judges too")
    upstream = "interpreter that runs those two, where they need packages that this one lacks"
    parser.add_argument("--upstream-python", metavar="PATH", default="", help=upstream)
    parser.add_argument("--against", type=Path, metavar="DIR", help="another evaluation of the same items, to compare with")
    parser.add_argument("settings", nargs="*", default=[], metavar="CONF|KEY=VALUE", help="settings; `toolrl config --command evaluate`")
    parser.add_argument("--dry-run", action="store_true", help="check everything, and ask nobody")
    parser.add_argument("--json", action="store_true", help="print scores.json")
    parser.set_defaults(run=_evaluate, stopped=("what was answered is kept, and the same command asks for the rest",))


def _evaluate(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.evaluate import evaluate
    from toolrl.pipelines.evaluating.benchmarks import Options

    named = (("model.path", arguments.model), ("run.dir", arguments.out))
    options = Options(
        name=arguments.benchmark,
        data=arguments.data,
        apibank_root=arguments.apibank_root,
        acebench_root=arguments.acebench_root,
        python=arguments.upstream_python,
        categories=tuple(filter(None, arguments.categories.split(","))),
    )
    return evaluate(
        [*arguments.settings, *(f"{key}={value}" for key, value in named if value)],
        options,
        completions=arguments.completions,
        against=arguments.against,
        dry_run=arguments.dry_run,
        as_json=arguments.json,
        width=shutil.get_terminal_size().columns,
    )
