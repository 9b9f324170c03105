"""A run that accidents strike ends as if there had been none: here three in one run; every kind, in a run of its own, by `make chaos`."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "pipelines"))
from driver import Driver, wait_until

from toolrl.cli.main import main

pytestmark = pytest.mark.stack
STEPS = 6
ARGUMENTS = (
    "rl", "conf/demo.yaml", f"run.steps={STEPS}", "loop.prompts_per_batch=4", "sampling.n=4", "eval.every=0", "eval.prompts=8",
    "checkpoint.every=2", "checkpoint.best=false", "engine.max_num_seqs=64", "reward.workers=1", "monitor.tensorboard=false",
)  # fmt: skip
OTHER_NUMBERS = ("learner.num_ranks=1", "loop.max_staleness=1")
"""What is lent to the run when it is started again."""
PREEMPTED = 75


@pytest.fixture(scope="module")
def struck(tmp_path_factory):
    """The folder of a run that was struck, and started again once, with other numbers."""
    folder = tmp_path_factory.mktemp("chaos")
    first = _start(folder, "an engine's core dies while weights are sent+driver is preempted")
    assert first.wait() == PREEMPTED, first.log.read_text()
    assert wait_until(lambda: not first.relatives(), 30), first.relatives()
    second = _start(folder, "learner rank dies in forward", *OTHER_NUMBERS)
    assert second.wait() == 0, second.log.read_text()
    assert wait_until(lambda: not second.relatives(), 30), second.relatives()
    return folder


def _start(folder, accidents, *settings):
    log = folder / f"start-{len(list(folder.glob('start-*'))) + 1}.log"
    script = [str(Path(__file__).with_name("inject.py")), accidents, "0", str(folder / log.stem.replace("start", "mark"))]
    return Driver(*ARGUMENTS, *settings, f"run.dir={folder / 'run'}", log=log, script=script)


def test_each_accident_happened_and_was_told(struck):
    assert {path.name for path in struck.glob("mark-*")} == {"mark-1-1", "mark-1-2", "mark-2-1"}
    attempts = json.loads((struck / "run" / "versions.json").read_text())["attempts"]
    assert len(attempts) == 3  # two starts, and a rewind by itself
    assert "has died" in attempts[2]["after"]
    assert "engine-0 is replaced (1 of 5)" in (struck / "start-1.log").read_text()
    assert "SIGTERM" in (struck / "start-1.log").read_text()


def test_a_preempted_run_has_a_checkpoint_of_what_was_live(struck):
    lines = [json.loads(line) for line in (struck / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["version"] for line in lines] == list(range(STEPS + 1))


def test_every_draw_ended_once(struck, capsys):
    assert main(["audit", str(struck / "run"), "--deep"]) == 0, capsys.readouterr().out
