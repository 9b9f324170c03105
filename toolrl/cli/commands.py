"""The commands: for each its arguments, and the pipeline it hands them to."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

NAMES = ("prepare", "sft", "rl", "score", "config")
SETTINGS_HELP = "YAML files, merged left to right, then overrides as section.name=value"


def add_to(parsers: Any) -> None:
    """Add every command to the sub-parsers of the main parser."""
    _add_prepare(parsers)
    for name, about in (("sft", "train on demonstrations (cross-entropy)"), ("rl", "train by reinforcement learning (GRPO)")):
        parser = parsers.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        parser.add_argument("settings", nargs="+", metavar="CONF|KEY=VALUE", help=SETTINGS_HELP)
        parser.add_argument("--dry-run", action="store_true", help="check everything, print it, and start nothing")
        parser.add_argument("--json", action="store_true", help="end with the summary as one JSON line")
        parser.set_defaults(run=_sft if name == "sft" else _rl)
    _add_score(parsers)
    _add_config(parsers)


def _add_prepare(parsers: Any) -> None:
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


def _add_score(parsers: Any) -> None:
    parser = parsers.add_parser("score", help="verify completions from a file", description="Verify completions: one verdict a line.")
    parser.add_argument("input", type=Path, metavar="IN.jsonl", help='lines of {"id", "tools", "reference", "text"}')
    parser.add_argument("--mode", default="strict", help="strict (default) or paper")
    parser.add_argument("--no-call", default="either", help="what answers an empty reference: list, text or either (default)")
    parser.set_defaults(run=_score)


def _add_config(parsers: Any) -> None:
    parser = parsers.add_parser("config", help="print every setting, or a resolved configuration", description="Print settings.")
    parser.add_argument("settings", nargs="*", metavar="CONF|KEY=VALUE", help=SETTINGS_HELP + "; none: the schema with its docs")
    parser.add_argument("--sft", action="store_true", help="settings of `toolrl sft` instead of `toolrl rl`")
    parser.add_argument("--markdown", action="store_true", help="the page docs/settings.md")
    parser.add_argument("--metrics", action="store_true", help="the page docs/metrics.md")
    parser.set_defaults(run=_config)


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


def _rl(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.rl import rl

    return rl(arguments.settings, dry_run=arguments.dry_run, as_json=arguments.json)


def _sft(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.sft import sft

    return sft(arguments.settings, dry_run=arguments.dry_run, as_json=arguments.json)


def _score(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.score import score_file

    score_file(arguments.input, mode=arguments.mode, no_call=arguments.no_call, out=sys.stdout)
    return 0


def _config(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.config import show

    print(show(arguments.settings, sft=arguments.sft, markdown=arguments.markdown, metrics=arguments.metrics))
    return 0
