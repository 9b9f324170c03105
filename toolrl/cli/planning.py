"""The command that looks ahead: plan."""

from __future__ import annotations

import argparse
from typing import Any


def add_plan(parsers: Any) -> None:
    """Add `toolrl plan`."""
    about = "what a run needs of a cluster and how long it takes: memory, push, step, GPU-hours"
    description = (
        "Plan a run of `toolrl rl`: memory by role and phase, the largest micro-batch and concurrency that fit, seconds of a step, "
        "GPU-hours. Nothing is started. Exit code 2 where it does not fit."
    )
    parser = parsers.add_parser("plan", help=about, description=description)
    settings = "YAML files, merged left to right, then overrides as section.name=value, as for `toolrl rl`"
    parser.add_argument("settings", nargs="+", metavar="CONF|KEY=VALUE", help=settings)
    cluster = "a cluster file, a shipped one as in 4x8_h100.yaml, or nodes x GPUs x kind as in 4x8xH100 (default: enough nodes of 8xH100)"
    parser.add_argument("--cluster", metavar="FILE", help=cluster)
    parser.add_argument("--prompt-tokens", type=int, metavar="N", help="mean length of a prompt (default: that of the paper's data)")
    parser.add_argument(
        "--completion-tokens", type=int, metavar="N", help="mean length of a completion (default: that of the paper's runs)"
    )
    parser.add_argument("--compare", action="store_true", help="a table over 1, 2, 4 and 8 nodes, and over models")
    models = "models of the table, separated by commas: folders or names (default: Qwen2.5-7B,Qwen2.5-14B)"
    parser.add_argument("--models", metavar="NAMES", help=models)
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(run=_plan)


def _plan(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.plan import Asked, plan

    names = ("cluster", "prompt_tokens", "completion_tokens", "compare", "models")
    return plan(arguments.settings, Asked(**{name: getattr(arguments, name) for name in names}, as_json=arguments.json))
