"""The commands: for each its arguments, and the pipeline it hands them to."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from toolrl.cli.asking import add_distill
from toolrl.cli.data import add_fingerprint, add_prepare
from toolrl.cli.doctor import add_doctor
from toolrl.cli.evaluation import add_evaluate
from toolrl.cli.launch import add_launch
from toolrl.cli.learner import add_replay
from toolrl.cli.planning import add_plan
from toolrl.cli.recipes import add_run, add_table
from toolrl.cli.reference import commands_page
from toolrl.cli.report import add_report
from toolrl.cli.reward import add_audit, add_explain, add_rescore, add_score
from toolrl.cli.serving import add_export, add_serve
from toolrl.cli.watching import add_watch

NAMES = (
    "prepare", "fingerprint", "distill", "sft", "rl", "plan", "run", "table", "evaluate", "score", "explain", "replay", "rescore", "audit",
    "watch", "report", "doctor", "serve", "export", "launch", "config",
)  # fmt: skip
CONFIGURED = ("rl", "sft", "distill", "evaluate", "serve")
"""Commands with settings; `toolrl.config.kinds` has the schema of each."""
SETTINGS_HELP = "YAML files, merged left to right, then overrides as section.name=value"


def add_to(parsers: Any) -> None:
    """Add every command to the sub-parsers of the main parser."""
    add_prepare(parsers)
    add_fingerprint(parsers)
    add_distill(parsers)
    for name, about in (("sft", "train on demonstrations (cross-entropy)"), ("rl", "train by reinforcement learning (GRPO)")):
        parser = parsers.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        parser.add_argument("settings", nargs="+", metavar="CONF|KEY=VALUE", help=SETTINGS_HELP)
        parser.add_argument("--dry-run", action="store_true", help="check everything, print it, and start nothing")
        parser.add_argument("--json", action="store_true", help="end with the summary as one JSON line")
        parser.set_defaults(run=_sft if name == "sft" else _rl, stopped=("the same command goes on from the newest checkpoint",))
    for add in (
        add_plan,
        add_run,
        add_table,
        add_evaluate,
        add_score,
        add_explain,
        add_replay,
        add_rescore,
        add_audit,
        add_watch,
        add_report,
        add_doctor,
        add_serve,
        add_export,
        add_launch,
    ):
        add(parsers)
    _add_config(parsers)


def _add_config(parsers: Any) -> None:
    parser = parsers.add_parser("config", help="print every setting, or a resolved configuration", description="Print settings.")
    parser.add_argument("settings", nargs="*", metavar="CONF|KEY=VALUE", help=SETTINGS_HELP + "; none: the schema with its docs")
    parser.add_argument("--command", default="rl", choices=CONFIGURED, help="whose settings (default: rl)")
    page = parser.add_mutually_exclusive_group()
    page.add_argument("--markdown", action="store_true", help="the page docs/settings.md")
    page.add_argument("--metrics", action="store_true", help="the page docs/metrics.md")
    page.add_argument("--commands", action="store_true", help="the page docs/commands.md")
    parser.set_defaults(run=lambda arguments: _config(arguments, parsers.choices))


def _rl(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.rl import rl

    return rl(arguments.settings, dry_run=arguments.dry_run, as_json=arguments.json)


def _sft(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.sft import sft

    return sft(arguments.settings, dry_run=arguments.dry_run, as_json=arguments.json)


def _config(arguments: argparse.Namespace, parsers: Mapping[str, argparse.ArgumentParser]) -> int:
    if arguments.commands:
        print(commands_page(parsers))
        return 0
    from toolrl.pipelines.config import show

    print(show(arguments.settings, command=arguments.command, markdown=arguments.markdown, metrics=arguments.metrics))
    return 0
