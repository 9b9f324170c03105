"""The commands on data: prepare, fingerprint."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_prepare(parsers: Any) -> None:
    """Add `toolrl prepare`."""
    parser = parsers.add_parser("prepare", help="turn raw rows into filtered, split prompts", description="Turn raw rows into prompts.")
    parser.add_argument("inputs", nargs="+", metavar="IN", help="JSONL files of rows")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write: train, heldout, report")
    parser.add_argument("--tokenizer", metavar="MODEL", help="its tokenizer measures the prompts; without one, no prompt is too long")
    parser.add_argument("--template", default="tool_n1", help="system prompt: a shipped name or a file")
    parser.add_argument("--max-prompt-tokens", type=int, default=4096, help="longer prompts are dropped (default: 4096)")
    parser.add_argument("--heldout-share", type=float, default=0.1, help="share of dialogues held out (default: 0.1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the split (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=_prepare)


def _prepare(arguments: argparse.Namespace) -> int:
    from toolrl.data.report import summary
    from toolrl.pipelines.prepare import prepare

    report = prepare(
        arguments.inputs,
        out=arguments.out,
        tokenizer=arguments.tokenizer,
        template=arguments.template,
        max_prompt_tokens=arguments.max_prompt_tokens,
        heldout_share=arguments.heldout_share,
        seed=arguments.seed,
    )
    print(json.dumps(report) if arguments.json else f"{summary(report)}\n{arguments.out}: train.parquet, heldout.parquet, report.md")
    return 0


def add_fingerprint(parsers: Any) -> None:
    """Add `toolrl fingerprint`."""
    about = "Hash the requests and tools of a benchmark, so that `toolrl prepare` knows its items without their text."
    parser = parsers.add_parser("fingerprint", help="hash a benchmark for the contamination guard", description=about)
    parser.add_argument("name", metavar="NAME", help="bfcl, apibank or acebench; or your own name, for rows that prepare reads")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="its question files, or folders of them")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="file of fingerprints to write")
    parser.add_argument("--revision", default="", metavar="TEXT", help="which release it is; kept in the file's first line")
    parser.set_defaults(run=_fingerprint)


def _fingerprint(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.fingerprint import fingerprint

    items, keys = fingerprint(arguments.name, arguments.paths, out=arguments.out, revision=arguments.revision)
    print(f"{arguments.out}: {items:,} items, {keys:,} fingerprints")
    return 0
