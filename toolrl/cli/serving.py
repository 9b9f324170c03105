"""The commands that hand a trained model on: serve, export."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_serve(parsers: Any) -> None:
    """Add `toolrl serve`."""
    about = "serve a trained model with OpenAI's interface, tool calls included"
    parser = parsers.add_parser("serve", help=about, description=f"{about[0].upper()}{about[1:]}.")
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="the folder of a model, of a run that has ended, or demo://start")
    parser.add_argument("settings", nargs="*", default=[], metavar="CONF|KEY=VALUE", help="settings; `toolrl config --command serve`")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind to (default: 127.0.0.1); others want a key in TOOLRL_API_KEY")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on, 0: one that is free (default: 8000)")
    parser.add_argument("--name", default="", metavar="NAME", help="what requests call the model (default: the name of the folder or run)")
    parser.set_defaults(run=_serve)


def _serve(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.serve import serve

    return serve(arguments.checkpoint, arguments.settings, host=arguments.host, port=arguments.port, name=arguments.name)


def add_export(parsers: Any) -> None:
    """Add `toolrl export`."""
    about = "write a trained model as a Hugging Face folder, with a model card and a chat template that carries our prompt"
    parser = parsers.add_parser("export", help=about, description=f"{about[0].upper()}{about[1:]}.")
    parser.add_argument("model", metavar="RUN_OR_CHECKPOINT", help="the folder of a run or of a model")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--best", action="store_true", help="the best weights of the run (default: the final ones)")
    which.add_argument("--version", type=int, metavar="N", help="those of version N, put together from the shards of its checkpoint")
    parser.add_argument("--start", default="", metavar="MODEL", help="with --version: the run's start model, where it has moved")
    told = "scores.json of an evaluation, or its folder; for the model card"
    parser.add_argument("--scores", nargs="+", type=Path, default=[], metavar="FILE", help=told)
    parser.add_argument("--name", default="", metavar="NAME", help="what the card calls the model (default: the name of the run or folder)")
    named = "prompt template: a shipped name, a file or a folder with one (default: the model's own, else tool_n1)"
    parser.add_argument("--template", default="", help=named)
    parser.add_argument("--json", action="store_true", help="print toolrl.json")
    parser.set_defaults(run=_export, stopped=("nothing was written",))


def _export(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.export import ExportSettings, export

    settings = ExportSettings(
        best=arguments.best,
        version=arguments.version,
        start=arguments.start,
        name=arguments.name,
        template=arguments.template,
        scores=tuple(arguments.scores),
    )
    return export(arguments.model, settings, out=arguments.out, as_json=arguments.json)
