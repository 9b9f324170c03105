"""A small whole world of files, each valid and written by the writer of the real command where there is one.

    conf/ rows/ model/ template       what a user writes       prepared/ run/ ended/ evaluated/ asked/ recipes/ done/    what commands wrote

Commands run with the world as their working folder, so that names of files are short and the same in every run.
"""

import asyncio
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

import toolrl.testing
from toolrl.algo.advantage import trajectories
from toolrl.calls.render import render_completion
from toolrl.checkpoint.store import CheckpointStore
from toolrl.cli.main import main
from toolrl.config.load import load
from toolrl.config.schema import RlConfig
from toolrl.data.source import load_prompts
from toolrl.data.template import FILE_NAME
from toolrl.monitor.lines import JsonlSink
from toolrl.monitor.prompts import write_prompts
from toolrl.monitor.rollouts import RolloutWriter
from toolrl.monitor.rundir import RunFolder
from toolrl.monitor.summary import summarise
from toolrl.pipelines.inputs import load_inputs
from toolrl.pipelines.started_from import STARTED_FROM, require_same
from toolrl.reward.judge import judge
from toolrl.reward.verifier import make_verifier
from toolrl.rollout.replies import Reply
from toolrl.testing.fakes import as_trained
from toolrl.types import Batch, Completion, Draw, Group, RunState, ScoredGroup, ToolCall, VersionSpan

VERSIONS, PROMPTS, GROUP = 3, 2, 2
"""Of the run: versions trained, groups of a batch, completions of a group."""
START = Path(toolrl.testing.__file__).parent / "start"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}
TOOL = {"name": "forecast", "description": "Weather of a city.", "parameters": PARAMETERS}
ACE = {"properties": {"hotel": {"type": "string"}, "rooms": {"type": "integer"}}, "required": ["hotel"]}
RL = {
    "run": {"dir": "new", "steps": 5},
    "model": {"path": "model", "dtype": "float32"},
    "data": {"train": "rows/chat.jsonl", "heldout": "rows/heldout.jsonl", "max_prompt_tokens": 1024},
    "sampling": {"n": GROUP, "max_tokens": 96},
    "reward": {"mode": "strict", "functions": {"binary": 1.0}, "audit_rows": 8},
    "loop": {"prompts_per_batch": PROMPTS},
    "learner": {"num_ranks": 2, "lr": 1.0e-4, "cpus_per_rank": 0.1},
    "engine": {"cpus": 0.5},
    "weights": {"backend": "gloo"},
    "checkpoint": {"every": 1, "keep": 3},
}
SFT = {
    "run": {"dir": "new_sft", "steps": 4},
    "model": {"path": "model", "dtype": "float32"},
    "data": {"train": "rows/demonstrations.jsonl", "max_tokens": 1024},
    "loop": {"rows_per_batch": 2},
    "learner": {"cpus_per_rank": 0.1},
}
EVALUATE = {"model": {"path": "model", "dtype": "float32"}, "data": {"heldout": "rows/heldout.jsonl"}, "sampling": {"max_tokens": 96}}
SIZE = {
    "title": "a size",
    "values": {"model": "model", "data": "rows/chat.jsonl"},
    "stages": {
        "all": {"model": {"dtype": "float32"}},
        "rl": {"run": {"steps": 3}},
        "evaluate": {"sampling": {"max_tokens": 96}, "data": {"heldout": "rows/heldout.jsonl"}},
    },
    "benchmarks": {"bfcl": {"is": "heldout"}},
}
TRAINED = {"rl": {"stage": "rl", "model": {"path": "${model}"}, "data": {"train": "${data}", "subset": "0-50"}}}
RECIPES = {
    "table.yaml": {
        "title": "a table",
        "rows": ["table/plain", "table/long"],
        "columns": [{"name": "All", "benchmark": "bfcl", "measure": "ours", "average": "All"}],
        "compare": [["table/plain", "table/long"]],
        "size": "small",
    },
    "table/plain.yaml": {"title": "plain", "model": "${model}", "paper": {"All": 50.5}},
    "table/long.yaml": {"title": "long", "model": "${model}", "evaluate": {"sampling.max_tokens": 64}},
    "trained.yaml": {"title": "trained", "steps": TRAINED, "model": "${rl}", "size": "small"},
    "sizes/small.yaml": SIZE,
}


def build(world: Path) -> None:
    """Write the world into an empty folder."""
    with chdir(world):
        _model(Path("model"))
        for folder in ("conf", "rows", "recipes/sizes", "recipes/table", "apibank", "acebench/possible_answer", "bfcl"):
            Path(folder).mkdir(parents=True)
        for name, content in (("rl", RL), ("sft", SFT), ("evaluate", EVALUATE)):
            _yaml(Path(f"conf/{name}.yaml"), content)
        _yaml(Path("conf/more.yaml"), {"learner": {"lr": 2.0e-4}})
        Path("words.template").write_text("Call these:\n{tools}\nWrite <think> and <tool_call>.\n")
        _rows(Path("rows"))
        _benchmarks()
        for name, content in RECIPES.items():
            _yaml(Path("recipes") / name, content)
        _made_by_commands()
        _run(Path("run"), ended=False)
        _run(Path("ended"), ended=True)
        _run(Path("only"), ended=False, keep=1)


@contextmanager
def answered() -> Iterator[None]:
    """In place of engines: every item is answered right but the first."""

    def answer(config: Any, asked: Any, asks: Sequence[Any], journal: Any, session: Any, *, each: Any = None) -> dict[Any, Any]:
        for number, ask in enumerate(asks):
            text = right(ask.prompt.reference) if number else "no"
            if ask.key not in journal:
                journal.add(ask.key, Reply(text, "stop", 90, 31))
        return {}

    with patch("toolrl.pipelines.evaluate.answer", answer):
        yield


def right(calls: Sequence[ToolCall]) -> str:
    """Return a completion that makes these calls."""
    return render_completion(calls, "hm")


def chat_row(number: int) -> dict[str, Any]:
    """Return a row of messages."""
    call = {"name": "forecast", "arguments": {"city": f"Town {number}", "days": number}}
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"Weather in Town {number}, {number} days?"}]
    return {"id": f"row-{number}", "messages": messages, "tools": [{"type": "function", "function": TOOL}], "answer": [call]}


def _foreign(number: int) -> dict[str, dict[str, Any]]:
    """Return a row of each published format."""
    ask, call = f"Weather in Town {number}?", {"name": "forecast", "arguments": {"city": f"Town {number}"}}
    spoken = [{"from": "human", "value": ask}, {"from": "gpt", "value": f"<tool_call>\n{json.dumps(call)}\n</tool_call>"}]
    flat = {"name": "forecast", "description": "d", "parameters": {"city": {"type": "str", "description": "d"}}}
    return {
        "xlam": {"id": number, "query": ask, "answers": json.dumps([call]), "tools": json.dumps([flat])},
        "toolace": {
            "system": "You can invoke:\n" + json.dumps([TOOL]) + ".\n",
            "conversations": [{"from": "user", "value": ask}, {"from": "assistant", "value": f'[forecast(city="Town {number}")]'}],
        },
        "hermes": {"id": f"h{number}", "conversations": spoken, "tools": json.dumps([{"type": "function", "function": TOOL}])},
        "bfcl": {
            "id": f"simple_{number}",
            "question": [[{"role": "user", "content": ask}]],
            "function": [{**TOOL, "parameters": {**PARAMETERS, "type": "dict"}}],
            "ground_truth": [{"forecast": {"city": [f"Town {number}"]}}],
        },
        "toolrl": {
            "prompt": [
                {"role": "system", "content": '1. Name: forecast\nDescription: d\nParameters: {"city": {"type": "string", "default": ""}}'},
                {"role": "user", "content": f"<user>{ask}</user>"},
            ],
            "reward_model": {"ground_truth": f'<tool_call>{{"name": "forecast", "parameters": {{"city": "Town {number}"}}}}</tool_call>'},
        },
    }


def _rows(folder: Path) -> None:
    rows = [chat_row(number) for number in range(8)]
    heldout = [chat_row(number) for number in range(20, 26)]
    texts = [right((ToolCall("forecast", row["answer"][0]["arguments"]),)) for row in rows + heldout]
    _jsonl(folder / "chat.jsonl", rows)
    _jsonl(folder / "heldout.jsonl", heldout)
    (folder / "chat.json").write_text(json.dumps(rows, indent=1))
    pq.write_table(pa.Table.from_pylist([{**row, "tools": json.dumps(row["tools"])} for row in rows]), folder / "chat.parquet")
    _jsonl(folder / "demonstrations.jsonl", [{**row, "completion": text} for row, text in zip(rows, texts, strict=False)])
    _jsonl(folder / "completions.jsonl", [{"id": row["id"], "text": text} for row, text in zip(heldout, texts[8:], strict=True)])
    scored = [{"id": row["id"], "tools": row["tools"], "reference": row["answer"]} for row in rows]
    _jsonl(folder / "score.jsonl", [{**row, "text": text} for row, text in zip(scored, texts, strict=False)])
    for name in _foreign(0):
        _jsonl(folder / f"{name}.jsonl", [_foreign(number)[name] for number in range(6)])
    pq.write_table(pa.Table.from_pylist([_foreign(number)["xlam"] for number in range(6)]), folder / "xlam.parquet")


def _benchmarks() -> None:
    def api(name: str, arguments: Mapping[str, str]) -> dict[str, Any]:
        return {
            "role": "API",
            "api_name": name,
            "param_dict": arguments,
            "result": {"api_name": name, "input": arguments, "output": "t", "exception": None},
        }

    turns = [{"role": "User", "text": "Two rooms at the Ritz."}, api("BookRoom", {"hotel": "Ritz", "rooms": "2"})]
    _jsonl(Path("apibank/level1_dialogues.jsonl"), [{"file": "Book-1.jsonl", "turns": turns}])
    _jsonl(Path("apibank/level2_dialogues.jsonl"), [{"file": "Book-2.jsonl", "turns": turns}])
    schema = {"type": "object", "properties": {"hotel": {"type": "string"}, "rooms": {"type": "string"}}}
    named = ("BookRoom", "ToolSearcher")
    tools = [{"type": "function", "function": {"name": name, "description": "d", "parameters": schema}} for name in named]
    said = [{"role": "user", "content": "Two rooms at the Ritz."}]
    _jsonl(Path("apibank/unified.jsonl"), [{"id": f"apibank_l{level}_0", "messages": said, "tools": tools} for level in (1, 2)])
    asked = [f"Book {number} rooms at the Ritz." for number in range(3)]
    book = {"name": "book_room", "description": "d", "parameters": ACE}
    names = [f"normal_atom_number_{number}" for number in range(3)]
    questions = [{"id": name, "question": f"user: {ask}\n", "function": [book]} for name, ask in zip(names, asked, strict=True)]
    truths = [{"id": name, "ground_truth": {"book_room": {"hotel": "Ritz", "rooms": n}}} for n, name in enumerate(names)]
    _jsonl(Path("acebench/data_normal_atom_number.json"), questions)
    _jsonl(Path("acebench/possible_answer/data_normal_atom_number.json"), truths)
    _jsonl(Path("bfcl/BFCL_v4_simple_python.json"), [_foreign(number)["bfcl"] for number in range(3)])
    for name, ids in (("apibank", ["level1/Book-1/1", "level2/Book-2/1"]), ("acebench", names)):
        _jsonl(Path(f"rows/answers_{name}.jsonl"), [{"id": each, "text": "no"} for each in ids])


def _made_by_commands() -> None:
    out = ["--out", "prepared", "--heldout-share", "0.3"]
    for command in (
        ["fingerprint", "bfcl", "bfcl", "--out", "bfcl.fingerprints"],
        ["prepare", "rows/chat.jsonl", *out],
        ["evaluate", "heldout", "conf/evaluate.yaml", "--completions", "rows/completions.jsonl", "--out", "evaluated"],
        ["evaluate", "heldout", "conf/evaluate.yaml", "--out", "asked"],
        ["run", "recipes/table.yaml", "out=done"],
    ):
        with answered():
            if code := main(command):
                raise RuntimeError(f"{command}: {code}")


def _run(folder: Path, *, ended: bool, keep: int = VERSIONS) -> None:
    """Write a run of three versions, with the newest `keep` checkpoints: its resume trains two more, unless it has ended."""
    steps = VERSIONS if ended else RL["run"]["steps"]  # type: ignore[index]
    config = load(RlConfig, ["conf/rl.yaml", f"run.dir={folder}", f"run.steps={steps}"])
    verifier = make_verifier(config.reward.mode, config.reward.no_call, config.reward.functions)
    prompts = load_prompts("rows/chat.jsonl")
    draws = [Draw(i, prompt, np.arange(5 + i, dtype=np.int32), seed=2**62 + 10 * i) for i, prompt in enumerate(prompts)]
    inputs = load_inputs(config)
    keeps = {FILE_NAME: inputs.template.source, STARTED_FROM: require_same(folder, inputs.started_from)}
    with RunFolder(folder.resolve(), config, keeps) as opened:
        write_prompts(opened.prompts, {"train": draws, "heldout": [Draw(0, load_prompts("rows/heldout.jsonl")[0], draws[0].token_ids, 1)]})
        sink, store = JsonlSink(opened.metrics, now=lambda: 1.0), CheckpointStore(opened.checkpoints, keep)
        for version in range(1, VERSIONS + 1):
            scored = [_scored(draws[number], version, verifier) for number in range((version - 1) * PROMPTS, version * PROMPTS)]
            batch = Batch(version - 1, trajectories(config.algo, scored, config.sampling.max_tokens), ())
            writer = RolloutWriter(opened.rollouts, keep="all", fetch=_identity, attempt=opened.attempt)
            asyncio.run(writer.write(batch, as_trained(batch)))
            sink.write(version, {"learner/step_s": 2.0, "loop/step_s": 3.0, "reward/mean": 0.5, "loop/staleness_max": 0.0})
            store.write(RunState(version=version, draws_taken=version * PROMPTS), _shards)
        sink.close()
        if ended:
            opened.write_summary(summarise(opened.metrics, opened.rollouts, str(opened.checkpoints / "version-00000003")))
            _model(opened.path / "final")


def _scored(draw: Draw, version: int, verifier: Any) -> ScoredGroup:
    texts = (right(draw.prompt.reference), "no")
    completions = tuple(
        Completion(
            token_ids=np.arange(4 + i, dtype=np.int32),
            logprobs=np.full(4 + i, -0.5, np.float32),
            loss_mask=np.ones(4 + i, np.bool_),
            text=text,
            finish_reason="stop",
            seed=draw.seed + i,
            spans=(VersionSpan(version - 1, 0, 4 + i),),
        )
        for i, text in enumerate(texts)
    )
    group = Group(draw, completions)
    return ScoredGroup(group.ref(group, engine="engine-0", sample_s=0.5), tuple(judge(verifier, draw.prompt, text) for text in texts))


async def _identity(handles: Any) -> Any:
    return handles


def _shards(folder: Path) -> None:
    """Put into a checkpoint what looks like the files of two ranks; here nobody reads them but for their digests."""
    (folder / "global_step").mkdir()
    for rank in range(2):
        (folder / "global_step" / f"rank_{rank}_optim_states.pt").write_bytes(bytes(range(256)) * 4)
    (folder / "latest").write_text("global_step")


def _model(folder: Path) -> None:
    """Link the demo's model: what is broken is replaced, never written into."""
    folder.mkdir(parents=True)
    for file in START.iterdir():
        if file.suffix == ".safetensors":
            os.link(file, folder / file.name) if os.stat(folder).st_dev == os.stat(file).st_dev else shutil.copy(file, folder)
        else:
            shutil.copyfile(file, folder / file.name)


def _yaml(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False))


def _jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
