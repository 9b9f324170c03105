"""Upstream's own programs at work in the environment that holds bfcl-eval: `python run_official.py < JOB`.

    {"do": "check"}                                                  can they be imported
    {"do": "evaluate", "categories", "partial"}                      result/ ─> score/, and score/leaderboard.json beside it
    {"do": "generate", "categories", "ids", "url", "model", …}       a served model, asked turn by turn ─> result/

The folder is BFCL_PROJECT_ROOT. No module of toolrl imports this file and it imports none: it is started with another interpreter, and what
it changes of upstream is said at each change. Upstream executes the calls of multi-turn answers here, and nowhere else.
"""

from __future__ import annotations

import json
import sys
import types
from argparse import Namespace
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

MODEL = "toolrl"
"""The model's name in upstream's table and folders; upstream reads an underscore in it as a slash."""


def main() -> None:
    """Do the job that stands on standard input."""
    job = json.load(sys.stdin)
    _stand_in(job)
    {"check": _check, "evaluate": _evaluate, "generate": _generate}[job["do"]](job)


def _stand_in(job: dict[str, Any]) -> None:
    """Put a table of one model in the place of upstream's, which imports the SDK of every vendor."""
    table = types.ModuleType("bfcl_eval.constants.model_config")
    entry = types.SimpleNamespace(
        model_name=job.get("model", MODEL),
        display_name=MODEL,
        url="",
        org="",
        license="",
        model_handler=lambda **settings: _handler(job, **settings),
        input_price=None,
        output_price=None,
        is_fc_model=True,
        underscore_to_dot=False,  # names are compared as they are
    )
    vars(table)["MODEL_CONFIG_MAPPING"] = {MODEL: entry}
    sys.modules[table.__name__] = table


def _handler(job: dict[str, Any], **settings: Any) -> Any:
    """Make upstream's handler of OpenAI's function calling, for the server of this job; to judge, it only reads JSON."""
    from bfcl_eval.model_handler.api_inference.openai_completion import OpenAICompletionsHandler

    class Handler(OpenAICompletionsHandler):  # type: ignore[misc]
        def _build_client_kwargs(self) -> dict[str, Any]:  # the environment has no key to read
            return {"api_key": job.get("key") or "none", "base_url": job.get("url"), "timeout": job.get("timeout_s"), "max_retries": 4}

        def _query_FC(self, inference_data: dict[str, Any]) -> Any:  # noqa: N802 upstream's name
            asked = {"messages": inference_data["message"]} | ({"tools": tools} if (tools := inference_data["tools"]) else {})
            return self.generate_with_backoff(**asked, model=self.model_name, temperature=self.temperature, max_tokens=job["max_tokens"])

        def _parse_query_response_FC(self, api_response: Any) -> Any:  # noqa: N802 upstream's name
            found = super()._parse_query_response_FC(api_response)
            message = api_response.choices[0].message  # the reasoning of a turn is no part of the next turn's conversation
            history = {"role": "assistant", "content": message.content}
            if message.tool_calls:
                history["tool_calls"] = [call.model_dump() for call in message.tool_calls]
            reasoning = getattr(message, "reasoning", None) or getattr(message, "reasoning_content", None) or ""
            return {**found, "model_responses_message_for_chat_history": history, "reasoning_content": reasoning}

    handler = Handler(**settings)
    handler.model_name_underline_replaced = MODEL  # becomes part of a variable's name, which not every model's name can be
    return handler


def _check(_: dict[str, Any]) -> None:
    modules = ("_llm_response_generation", "eval_checker.eval_runner", "eval_checker.multi_turn_eval.func_source_code.math_api")
    for module in modules:
        import_module(f"bfcl_eval.{module}")
    _handler({}, model_name=MODEL, temperature=0.0, registry_name=MODEL, is_fc_model=True)


def _evaluate(job: dict[str, Any]) -> None:
    from bfcl_eval.eval_checker import eval_runner, eval_runner_helper

    eval_runner.ast_checker = _total(eval_runner.ast_checker)
    eval_runner_helper.write_score_csv_file = _keeping(eval_runner_helper.write_score_csv_file)
    eval_runner.main([MODEL], job["categories"], None, None, partial_eval=job["partial"])


def _total(checker: Callable[..., Any]) -> Callable[..., Any]:
    """Let an answer on which upstream's checker fails be wrong, where upstream would end without any score."""

    def check(*args: Any) -> Any:
        try:
            return checker(*args)
        except Exception as error:  # noqa: BLE001 whatever it fails on, one answer is wrong and the others have their score
            print(f"the checker failed: {error!r}")
            return {"valid": False, "error": [f"the checker failed: {error!r}"], "error_type": "checker_failed"}

    return check


def _keeping(write: Callable[..., Any]) -> Callable[..., Any]:
    """Keep the numbers of upstream's tables before it rounds them into percent."""

    def keep(data: list[Any], file_path: Path, header: list[str], *args: Any, **kwargs: Any) -> None:
        kept = Path(file_path).with_name("leaderboard.json")
        tables = json.loads(kept.read_text()) if kept.exists() else {}
        tables[Path(file_path).stem] = dict(zip(header, data[0], strict=True))
        kept.write_text(json.dumps(tables))
        write(data, file_path, header, *args, **kwargs)

    return keep


def _generate(job: dict[str, Any]) -> None:
    from bfcl_eval import _llm_response_generation as program

    load, wanted = program.load_dataset_entry, {*job["ids"]}
    # its own way to ask for a part writes every file anew at each answer, and would lose them where it is killed
    program.load_dataset_entry = lambda category: [entry for entry in load(category) if entry["id"] in wanted]
    asked = {"model": [MODEL], "test_category": job["categories"], "temperature": 0.0, "num_threads": job["in_flight"]}
    kept = {"include_input_log": False, "exclude_state_log": True, "result_dir": None, "run_ids": False, "allow_overwrite": False}
    program.main(Namespace(**asked, **kept))


if __name__ == "__main__":
    main()
