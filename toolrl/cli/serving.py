"""The commands that hand a trained model on: serve, export."""

from __future__ import annotations

import argparse
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
