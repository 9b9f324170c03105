"""Run folders to watch, written by the writers of a real run."""

import json
from dataclasses import replace

import pytest
from rich.console import Console

from toolrl.config.load import load, to_yaml
from toolrl.config.schema import RlConfig
from toolrl.config.sft import SftConfig
from toolrl.monitor.lines import JsonlSink
from toolrl.monitor.rundir import RunFolder
from toolrl.monitor.status import ActorStatus, Status

ENGINE = ActorStatus("engine-0", "engine", "healthy", "here", "127.0.0.1", 11, 2000.0, 4)
STATUS = Status(
    written=2000.0, beat=2000.0, host="here", pid=10, attempt=1, stage="learner", since=1997.0, version=2, steps=7, draws_taken=12,
    sampling=4, scoring=0, actors=(ENGINE,), waits=(), failures=(), end=None,
)  # fmt: skip


def metrics_of(version):
    """Metrics of a version: a step of 2 s, of which 0.5 s waiting, 1 s in the learner and 0.25 s in the push."""
    step = {"loop/step_s": 2.0, "loop/wait_generation_s": 0.5, "loop/learner_s": 1.0, "loop/push_s": 0.25, "loop/eval_s": 0.0}
    return {**step, "learner/forward_s": 0.75, "reward/mean": version / 10, "loop/tokens_per_s": 1000.0, "engine/serving": 2.0}


@pytest.fixture
def write_metrics():
    def write(run, versions, of=metrics_of, now=lambda: 1000.0):
        sink = JsonlSink(run / "metrics.jsonl", now)
        for version in versions:
            sink.write(version, of(version))
        sink.close()

    return write


@pytest.fixture
def rl_run(make_run, write_metrics):
    """A run of three versions, with rollouts of the first two."""

    def make(*arguments, versions=(0, 1, 2), **named):
        run = make_run(*arguments, **named)
        (run / "versions.json").write_text(json.dumps({"attempts": [{"attempt": 1}]}))
        write_metrics(run, versions)
        return run

    return make


@pytest.fixture
def sft_run(tmp_path, write_metrics):
    run = tmp_path / "supervised"
    run.mkdir()
    config = SftConfig()
    (run / "config.yaml").write_text(to_yaml(replace(config, run=replace(config.run, steps=100))))
    write_metrics(run, (0,), of=lambda _: {"heldout/loss": 2.5, "heldout/greedy": 0.25})
    step = {"loop/step_s": 0.5, "loop/learner_s": 0.4, "loop/tokens_per_s": 500.0}
    write_metrics(run, range(1, 5), of=lambda version: {**step, "learner/loss": 2.0 / version})
    return run


@pytest.fixture
def rewind():
    """Do what a resumed run does: move what is beyond a version out of the lineage."""

    def back(run, version):
        with RunFolder(run, load(RlConfig, [str(run / "config.yaml")])) as folder:
            folder.rewind(version)

    return back


@pytest.fixture
def drawn():
    """The lines of something, as a terminal without colour would show them."""

    def draw(renderable, width=80, height=None):
        console = Console(width=width, height=height or 25, color_system=None, force_terminal=True, highlight=False)
        options = console.options.update(width=width, height=height)
        lines = console.render_lines(renderable, options, pad=False)
        return ["".join(segment.text for segment in line if not segment.control).rstrip() for line in lines]

    return draw


@pytest.fixture
def status():
    """Of a run that trains its third batch."""
    return STATUS
