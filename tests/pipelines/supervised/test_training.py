"""A supervised run that loses its learner: it goes on from its newest checkpoint, to the weights of a run that nobody disturbed.

Ranks are stand-ins whose weights are the list of the batches they were trained on; folder, checkpoints, metrics and loop are the real ones.
"""

import asyncio
import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
from ray.exceptions import ActorDiedError

from toolrl.checkpoint.files import seal
from toolrl.checkpoint.store import CheckpointStore
from toolrl.config.load import load
from toolrl.config.sft import SftConfig
from toolrl.errors import ConfigError, DivergedError, LearnerError, LearnerLostError
from toolrl.monitor.rundir import CHECKPOINTS, RunFolder
from toolrl.pipelines.inputs import resolve_model
from toolrl.pipelines.live_status import Reporter
from toolrl.pipelines.preemption import Preemption
from toolrl.pipelines.supervised.inputs import load_supervised
from toolrl.pipelines.supervised.training import SupervisedRun

STEPS, EVERY = 7, 3
SETTINGS = (
    "conf/demo_sft.yaml", "data.train=demo://sft?rows=8", "loop.rows_per_batch=2", "data.copy_warmup_steps=0", f"run.steps={STEPS}",
    f"checkpoint.every={EVERY}", "checkpoint.best=false", "monitor.tensorboard=false", "eval.every=2", "data.heldout=demo://sft-heldout?rows=4",
)  # fmt: skip
BROKEN = LearnerLostError("learner-0: sft_step: the ranks cannot reach each other any more")


class Rank:
    """Its weights are what it was trained on. `trouble` is asked before everything it does."""

    def __init__(self, trouble):
        self._trouble, self._trained = trouble, []

    def __getattr__(self, method):
        async def answer(*arguments):
            self._trouble(method, len(self._trained))
            return getattr(self, f"_{method}")(*arguments)

        return SimpleNamespace(remote=answer)

    def _address(self):
        return "host", 1

    def _setup(self, host, port):
        return None

    def _sizes(self):
        return 100, 100

    def _sft_step(self, shard):
        self._trained.append([row.token_ids.tolist() for micro in shard.micro_batches for row in micro])
        return len(self._trained), {"learner/loss": 1.0, "learner/tokens": 10.0}, {}

    def _sft_losses(self, shard):
        return [(1.0 / (1 + len(self._trained)), 1) for micro in shard.micro_batches for _ in micro]

    def _save(self, folder):
        file = Path(folder) / "trained.json"
        file.write_text(json.dumps(self._trained))
        return seal(Path(folder), [file])

    _export = _save

    def _load(self, folder):
        self._trained = json.loads((Path(folder) / "trained.json").read_text())


class Trouble:
    """Fails at the given times: (method, steps taken by then) -> what to raise, each once, or with `again` at every time.

    `second group` is the method `address` of the first group that is made anew.
    """

    def __init__(self, failures, *, again=False):
        self._left, self._again, self.groups = dict(failures), again, 0

    def __call__(self, method, steps):
        if method == "address" and self.groups == 2:
            method = "second group"
        error = self._left.get((method, steps)) if self._again else self._left.pop((method, steps), None)
        if error is not None:
            raise error

    def learners(self, config, arguments, sender):
        self.groups += 1
        return [Rank(self) for _ in range(config.num_ranks)]


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Train a run in a folder of its own, with troubles; returns the folder and the troubles once it has ended."""
    monkeypatch.setattr(ray, "kill", lambda actor: None)
    number = itertools.count()

    def run(failures, *settings, again=False):
        config = load(SftConfig, [*SETTINGS, f"run.dir={tmp_path / str(next(number))}", *settings])
        inputs, trouble = load_supervised(config, resolve_model("demo://start")), Trouble(failures, again=again)
        path = Path(config.run.dir)
        with RunFolder(path, config) as folder:
            store, preemption = CheckpointStore(path / CHECKPOINTS, 2), Preemption(1.0)
            run.folder = path
            with Reporter(folder, config.run.steps) as reporter:
                asyncio.run(SupervisedRun(inputs, folder, trouble, store, preemption, reporter).train(store.newest()))
        return path, trouble

    return run


def trained(run):
    return json.loads((run / "final" / "trained.json").read_text())


def versions(path):
    return [json.loads(line)["version"] for line in path.read_text().splitlines()]


def attempts(run):
    return [each.get("after", "") for each in json.loads((run / "versions.json").read_text())["attempts"]]


DIED = ActorDiedError()


@pytest.mark.parametrize(
    ("failures", "groups", "discarded"),
    [
        ({("sft_step", 5): BROKEN}, 2, {1: [4, 5]}),
        ({("sft_step", 5): DIED}, 2, {1: [4, 5]}),
        ({("sft_step", 1): BROKEN}, 2, {1: [0, 1]}),  # before the first checkpoint: from the start model
        ({("save", 3): DIED}, 2, {1: [0, 1, 2, 3]}),
        ({("sft_losses", 4): DIED}, 2, {}),
        ({("export", 7): DIED}, 2, {}),
        ({("sft_step", 5): BROKEN, ("sft_step", 4): DIED}, 3, {1: [4], 2: [4, 5]}),
        ({("sft_step", 5): BROKEN, ("load", 0): DIED}, 3, {2: [4, 5]}),
        ({("sft_step", 5): BROKEN, ("second group", 0): DIED}, 3, {2: [4, 5]}),
    ],
)
def test_a_lost_learner_costs_no_step_and_trains_none_twice(train, failures, groups, discarded):
    whole, _ = train({})
    run, trouble = train(failures)
    assert trained(run) == trained(whole)
    assert versions(run / "metrics.jsonl") == list(range(STEPS + 1))
    assert trouble.groups == groups
    assert len(attempts(run)) == groups
    assert all(attempts(run)[1:])
    found = {int(path.name.partition("-")[2]): versions(path / "metrics.jsonl") for path in sorted((run / "discarded").glob("*"))}
    assert found == discarded


def test_a_run_that_always_loses_its_learner_ends_after_the_rewinds_it_was_given(train, capsys):
    with pytest.raises(LearnerLostError, match="cannot reach each other") as raised:
        train({("sft_step", 5): BROKEN}, "run.max_rewinds=2", again=True)
    assert any(note.startswith("rewound 2 times already (run.max_rewinds)") for note in raised.value.__notes__)
    assert len(attempts(train.folder)) == 3
    assert "goes on from version-00000003 (rewind 2 of 2) …" in capsys.readouterr().out


@pytest.mark.parametrize("error", [DivergedError("the gradient is not finite"), RuntimeError("CUDA out of memory")])
def test_what_would_come_again_ends_the_run(train, error):
    with pytest.raises(LearnerError, match=str(error)):
        train({("sft_step", 5): error})
    assert len(attempts(train.folder)) == 1


def test_going_back_and_leaving_a_batch_out_is_refused():
    with pytest.raises(ConfigError, match=r"^run\.on_divergence: got 'rewind', but a supervised run"):
        load(SftConfig, [*SETTINGS, "run.on_divergence=rewind"])
