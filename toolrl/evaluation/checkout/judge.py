"""Upstream's own code at work: `python -I judge.py apibank|acebench ROOT FD`, in a folder that upstream's files are found from.

    requests, a line of JSON each, on standard input ─> upstream's functions ─> verdicts, a line of JSON each, on the file descriptor FD
    {"id", …}                                                                    {"ready", "lacking"}, then {"id", "right", "why"}

No module of toolrl imports this file and it imports none: it is started with any interpreter from 3.9 on. Standard output is for what
upstream prints. An error of upstream's ends the verdict on one request, which is wrong, and nothing else.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import traceback
import types
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

Judge = Callable[[dict[str, Any]], tuple[bool, str]]
"""A request -> whether upstream calls it right, and why not."""


def main() -> None:
    """Answer requests until there are no more."""
    kind, root, descriptor = sys.argv[1:4]
    answers = os.fdopen(int(descriptor), "w", encoding="utf-8")
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(root)
    sys.path.insert(0, root)

    def say(**told: Any) -> None:
        answers.write(json.dumps(told) + "\n")
        answers.flush()

    lacking: list[str] = []
    try:
        judge = {"apibank": _apibank, "acebench": _acebench}[kind](root, lacking)
    except Exception as error:  # noqa: BLE001  # whatever upstream raises is told
        traceback.print_exc()
        say(failed=_told(error))
        return
    say(ready=True, lacking=lacking)
    for line in requests:
        request = json.loads(line)
        try:
            right, why = judge(request)
        except (Exception, SystemExit) as error:  # noqa: BLE001
            right, why = False, _told(error)
        say(id=request["id"], right=bool(right), why=why[:300])


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _apibank(root: str, lacking: list[str]) -> Judge:
    """API-Bank: a call is executed on fresh databases, and its result compared with the label's as the API itself compares them."""
    module = _with_stand_ins(root, lacking)

    def judge(request: dict[str, Any]) -> tuple[bool, str]:
        call, label = request["call"], request["label"]
        if call["name"] != label["api_name"]:
            return False, f"another API than {label['api_name']}"
        manager = module.ToolManager()
        result = manager.api_call(call["name"], **call["arguments"])
        right = manager.init_tool(call["name"]).check_api_call_correctness(result, label["result"])
        return right, "" if right else str(result)

    return judge


def _with_stand_ins(root: str, lacking: list[str]) -> Any:
    """Import upstream's tool manager; what only some of its APIs need and is not installed is stood in for, and fails when it is used."""
    while True:
        try:
            module = import_module("tool_manager")
            module.ToolManager()
            return module
        except ModuleNotFoundError as error:
            if error.name is None or error.name in lacking or not _raised_in(root, error):
                raise
            lacking.append(error.name)
            sys.modules[error.name] = _StandIn(error.name)


def _raised_in(root: str, error: BaseException) -> bool:
    """Whether an import failed that a file of upstream's asks for, not one of a package it uses."""
    asking = [frame.filename for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    return Path(root) in Path(asking[-1]).parents


class _StandIn(types.ModuleType):
    """A package that is not installed: everything in it exists, and raises when it is called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: Any, **__: Any) -> Any:
            raise ImportError(f"the package {self.__name__} is not installed")

        return missing


def _acebench(root: str, lacking: list[str]) -> Judge:
    """ACEBench: calls are written as upstream's prompt asks for them, read as it reads them, and checked against each answer."""
    checker, decode = import_module("model_eval.checker").normal_checker, import_module("model_inference.utils").decode_ast
    is_valid = import_module("model_eval.utils").is_function_call_format_valid
    named = ("",) if "model_name" in inspect.signature(decode).parameters else ()  # earlier versions have no such parameter

    def judge(request: dict[str, Any]) -> tuple[bool, str]:
        text = "[" + ", ".join(map(_written, request["calls"])) + "]"
        calls = decode(*named, "".join(text.split()))
        if not is_valid(calls):
            return False, "no list of calls"
        checked = [checker(request["functions"], calls, answer, request["question"], request["category"]) for answer in request["answers"]]
        right = any(each["valid"] for each in checked)
        return right, "" if right else str(checked[0].get("error"))

    return judge


def _written(call: dict[str, Any]) -> str:
    return f"{call['name']}({', '.join(f'{name}={value!r}' for name, value in call['arguments'].items())})"


if __name__ == "__main__":
    main()
