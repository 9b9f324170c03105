"""The commands on rewards: score, explain, rescore, audit."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any


def add_score(parsers: Any) -> None:
    """Add `toolrl score`."""
    parser = parsers.add_parser("score", help="verify completions from a file", description="Verify completions: one verdict a line.")
    rows = 'lines of {"id", "tools", "reference", "text"}; under bfcl also {"id", "category", "function", "ground_truth", "calls"}'
    parser.add_argument("input", type=Path, metavar="IN.jsonl", help=rows)
    parser.add_argument("--mode", default="strict", help="strict (default), paper, or bfcl: the verdict of BFCL's AST checker")
    parser.add_argument("--no-call", default="either", help="what answers an empty reference: list, text or either (default)")
    parser.set_defaults(run=_score)


def add_explain(parsers: Any) -> None:
    """Add `toolrl explain`."""
    about = "show a sample of a run: prompt, completion, diff of calls, verdicts, group, advantage"
    parser = parsers.add_parser("explain", help=about, description="Show a sample of a run and why it has its reward.")
    parser.add_argument("run_dir", type=Path, metavar="RUN", help="the folder of a run, ended or in progress")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--sample", metavar="ID", help="DRAW.SAMPLE as in 37.2; or a prompt's id, or a draw: its samples. None: what there is"
    )
    which.add_argument("--version", type=int, metavar="N", help="the samples that made version N, by reason")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(run=_explain)


def add_rescore(parsers: Any) -> None:
    """Add `toolrl rescore`."""
    about = "judge the stored rollouts of a run by another reward"
    description = "Judge all stored rollouts of a run by another reward. What is not given stays as the run has it."
    parser = parsers.add_parser("rescore", help=about, description=description)
    parser.add_argument("run_dir", type=Path, metavar="RUN", help="the folder of a run, ended or in progress")
    _add_reward(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write every changed sample to FILE.parquet or FILE.jsonl")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=_rescore)


def add_audit(parsers: Any) -> None:
    """Add `toolrl audit`."""
    description = (
        "Check a run: that each of its draws ended once, and that metrics, checkpoints and discarded files agree. "
        "Or check a reward on a data set: that it is 1 for every reference, and 0 for what only looks like one."
    )
    parser = parsers.add_parser(
        "audit", help="check that a run lost nothing, or that a reward is sound on a data set", description=description
    )
    prompts = "prompts, as data.train names them: a file, a prepared folder, demo://train"
    parser.add_argument("target", metavar="RUN|DATA", help=f"the folder of a run, ended or in progress; or {prompts}")
    parser.add_argument("--deep", action="store_true", help="of a run: read every byte of its checkpoints, too")
    parser.add_argument("--part", choices=("train", "heldout"), help="of data: part of a prepared folder (default: train)")
    parser.add_argument("--rows", type=int, metavar="N", help="of data: audit the first N prompts (default: all)")
    _add_reward(parser)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=_audit)


def _add_reward(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mode", help="strict, paper or bfcl")
    parser.add_argument("--no-call", help="what answers an empty reference: list, text or either")
    parser.add_argument("--functions", nargs="+", metavar="NAME=WEIGHT", help="reward functions, by name or module:function, with weights")


def _score(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.score import score_file

    score_file(arguments.input, mode=arguments.mode, no_call=arguments.no_call, out=sys.stdout)
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.explain import explain_run

    print(explain_run(arguments.run_dir, sample=arguments.sample, version=arguments.version, as_json=arguments.json, width=_width()))
    return 0


def _rescore(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.rescore import rescore

    reward = {"mode": arguments.mode, "no_call": arguments.no_call, "functions": arguments.functions}
    print(rescore(arguments.run_dir, **reward, out=arguments.out, as_json=arguments.json, width=_width()))
    return 0


def _audit(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.audit import audit_target

    reward = {"mode": arguments.mode, "no_call": arguments.no_call, "functions": arguments.functions}
    of_data = {"part": arguments.part, "rows": arguments.rows, **reward}
    return audit_target(arguments.target, deep=arguments.deep, of_data=of_data, as_json=arguments.json, width=_width(), out=sys.stdout)


def _width() -> int:
    return shutil.get_terminal_size().columns
