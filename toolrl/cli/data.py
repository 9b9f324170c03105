"""The commands on data: prepare, fingerprint."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields
from pathlib import Path
from typing import Any


def add_prepare(parsers: Any) -> None:
    """Add `toolrl prepare`."""
    about = "Turn raw rows into prompts: read, repair, filter, split."
    parser = parsers.add_parser("prepare", help="turn raw rows into clean, split prompts", description=about)
    parser.add_argument("inputs", nargs="+", metavar="IN", help="data sets of the hub, folders, Parquet or JSON files")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write: train, heldout, report, prompt.template")
    parser.add_argument("--format", default="auto", help="format of the rows (default: auto, told row by row)")
    parser.add_argument("--skip-unreadable", action="store_true", help="leave out and count rows of your own that cannot be read")
    parser.add_argument("--tokenizer", metavar="MODEL", help="its tokenizer measures the prompts; without one, no prompt is too long")
    named = "prompt template: a shipped name, a file or a folder with one (default: the model's own, else tool_n1)"
    parser.add_argument("--template", default="", help=named)
    parser.add_argument("--max-prompt-tokens", type=int, default=4096, metavar="N", help="longer prompts are dropped (default: 4096)")
    parser.add_argument("--no-call", default="drop", metavar="drop|keep", help="prompts where no call is right (default: drop)")
    found = "prompts that stand in a benchmark (default: remove)"
    parser.add_argument("--contamination", default="remove", metavar="remove|keep", help=found)
    parser.add_argument("--fingerprints", action="append", default=[], metavar="FILE", help="a further benchmark, by `toolrl fingerprint`")
    fewer = "train rows that lose the tools they call, and expect no call (default: 0)"
    parser.add_argument("--drop-tools", type=float, default=0.0, metavar="SHARE", help=fewer)
    neutral = "train rows with neutral names of tools and parameters (default: 0)"
    parser.add_argument("--mask-names", type=float, default=0.0, metavar="SHARE", help=neutral)
    parser.add_argument("--heldout-share", type=float, default=0.1, metavar="SHARE", help="dialogues held out (default: 0.1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the split and of what is augmented (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=_prepare, stopped=("nothing was written",))


def _prepare(arguments: argparse.Namespace) -> int:
    from toolrl.data.report import summary
    from toolrl.pipelines.prepare import WRITTEN, prepare
    from toolrl.pipelines.prepare_pass import PrepareSettings

    arguments.fingerprints = tuple(arguments.fingerprints)
    settings = PrepareSettings(**{each.name: getattr(arguments, each.name) for each in fields(PrepareSettings)})
    report = prepare(arguments.inputs, settings, out=arguments.out)
    print(json.dumps(report) if arguments.json else f"{summary(report)}\n{arguments.out}: {', '.join(WRITTEN)}")
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
