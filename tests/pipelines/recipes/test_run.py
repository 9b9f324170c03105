"""A recipe from the command line: SFT on one half, RL on the other, killed on the way and ended by the same command; then its table."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from driver import START_S, Driver, wait_until

from toolrl.calls.render import render_completion
from toolrl.cli.main import main
from toolrl.data.chat_row import chat_row
from toolrl.data.demo.generate import demo_prompts
from toolrl.data.jsontext import dumps
from toolrl.data.subset import subset_of
from toolrl.monitor.prompts import read_prompts

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

PROMPTS = tuple(demo_prompts("train", 64, 5))
ITEMS = 24


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    """Those of `toolrl run` and `toolrl table`; the demonstrations are the demo's own answers."""
    folder = tmp_path_factory.mktemp("recipe")
    rows = folder / "demonstrations.jsonl"
    rows.write_text("".join(dumps({**chat_row(p), "completion": render_completion(p.reference, "as asked")}) + "\n" for p in PROMPTS))
    settings = ("sft.loop.epochs=1", "sft.learner.num_ranks=1", "rl.run.steps=2", "rl.loop.prompts_per_batch=4", "rl.learner.num_ranks=1")
    return (
        "recipes/sft_then_rl.yaml",
        "size=tiny",
        f"out={folder / 'out'}",
        f"distilled={rows}",
        f"evaluate.data.limit={ITEMS}",
        *settings,
    )


@pytest.fixture(scope="module")
def out(arguments, tmp_path_factory):
    """The folder of the steps, after the driver was killed −9 behind the first and started again."""
    folder, logs = Path(arguments[2].removeprefix("out=")) / "tiny", tmp_path_factory.mktemp("logs")
    marks = lambda: sorted(path.name for path in folder.glob("*.json"))  # noqa: E731
    killed = Driver("run", *arguments, log=logs / "killed.log")
    assert wait_until(lambda: len(marks()) == 1 or not killed.running(), START_S), killed.log.read_text()
    assert killed.running(), killed.log.read_text()
    killed.kill()
    (first,) = marks()
    written = (folder / first).stat().st_mtime_ns
    assert wait_until(lambda: not killed.relatives(), 30), f"left behind 30 s after kill -9: {killed.relatives()}"
    resumed = Driver("run", *arguments, "--json", log=logs / "resumed.log")
    assert resumed.wait(600) == 0, resumed.log.read_text()
    assert wait_until(lambda: not resumed.relatives(), 30), f"left behind 30 s after the end: {resumed.relatives()}"
    assert "4 steps, 1 of them done" in resumed.log.read_text()
    assert (folder / first).stat().st_mtime_ns == written
    return folder


def folder_of(out, stage):
    (mark,) = out.glob(f"{stage}-*.json")
    return out / mark.stem


def test_the_two_halves_of_the_data_do_not_meet(out):
    reinforced = set(read_prompts(folder_of(out, "rl") / "prompts.parquet"))
    supervised = {prompt.id for prompt in subset_of(PROMPTS, "0-50", prompt_of=lambda prompt: prompt)}
    assert reinforced == {prompt.id for prompt in PROMPTS} - supervised
    assert 31 <= len(supervised) <= 33


def test_rl_begins_with_what_sft_ended_with(out):
    mark = json.loads(out.joinpath(f"{folder_of(out, 'rl').name}.json").read_text())
    assert mark["settings"]["model.path"] == str(folder_of(out, "sft") / "final")
    assert mark["needs"] == {"sft": folder_of(out, "sft").name}


def test_the_table_has_the_numbers_of_the_evaluations(out, arguments, capsys):
    assert main(["table", *arguments, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["paper"] == {"Non-Live": 88.19, "Live": 78.16, "Overall": 83.17}
    scores = [json.loads((path / "scores.json").read_text()) for path in out.glob("evaluate-heldout-*/")]
    wanted = sorted(each["value"] for found in scores for each in found["estimates"] if each["measure"] in ("calls", "ours"))
    assert sorted(cell["value"] for cell in row["cells"]) == wanted
    assert [cell["items"] for cell in row["cells"]] == [ITEMS] * 4


def test_the_same_command_does_nothing_again_and_prints_the_table(out, arguments, capsys):
    assert main(["run", *arguments]) == 0
    page = capsys.readouterr().out
    assert "4 steps, 4 of them done" in page
    assert "88.19 / 78.16 / 83.17" in page
    assert "── step" not in page


def test_a_table_for_a_document_says_what_each_number_is(out, arguments, capsys):
    assert main(["table", *arguments, "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("|  | calls right, greedy | form and calls, greedy | calls right, sampled |")
    assert lines[4].endswith(f"| {ITEMS} | 88.19 / 78.16 / 83.17 |")
    assert any("0.8M parameters on the demo task" in line for line in lines)
    assert any("they hold no noise of training" in line for line in lines)
