"""Run folders for audits: the real loop over fake actors, with the real writer of rollouts, metrics and checkpoints."""

import asyncio
import json
import random
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from toolrl.checkpoint.store import CheckpointStore
from toolrl.config.learning import AlgoConfig, LearnerConfig
from toolrl.config.schema import CheckpointConfig, DataConfig, EvalConfig, LoopConfig, ModelConfig, RlConfig, RunConfig, SamplingConfig
from toolrl.controller.loop import Controller
from toolrl.data.draws import PromptStream
from toolrl.errors import DivergedError, LearnerError
from toolrl.monitor.lines import JsonlSink
from toolrl.monitor.prompts import write_prompts
from toolrl.monitor.rollouts import SCHEMA, RolloutWriter, file_name
from toolrl.monitor.rundir import RunFolder
from toolrl.monitor.summary import summarise
from toolrl.pipelines.audit_run import audited
from toolrl.testing.fakes import World
from toolrl.types import Message, Prompt, RunState, Sampling, ScoredGroup, Verdict

STEPS, SIZE, GROUP, MINIBATCHES, PROMPTS = 8, 3, 4, 2, 10
CONFIG = RlConfig(
    run=RunConfig(steps=STEPS, seed=5),
    model=ModelConfig(path="m"),
    data=DataConfig(train="t"),
    sampling=SamplingConfig(n=GROUP, max_tokens=3),
    loop=LoopConfig(prompts_per_batch=SIZE, max_staleness=1, refill=True),
    learner=LearnerConfig(minibatches=MINIBATCHES),
    algo=AlgoConfig(truncated="mask"),
    eval=EvalConfig(every=3),
    checkpoint=CheckpointConfig(every=2, keep=99),
)
DATA = [Prompt(f"p{i}", "hand", (Message("user", f"ask {i}"),), (), ()) for i in range(PROMPTS)]
BARRED = "p4"
"""The prompt in quarantine."""


class KilledError(LearnerError):
    """Ends a fake run as kill -9 ends a real one: at once, and with nothing put right."""


def dull(number, version):
    return number % 4 == 1


class Scorer:
    """Knows a prompt in quarantine."""

    def __init__(self, world):
        self._inner = world.scorer

    async def score(self, group):
        scored = await self._inner.score(group)
        barred = group.prompt_id == BARRED
        return ScoredGroup(group, (Verdict(None, "quarantined"),) * len(scored.verdicts)) if barred else scored

    def metrics(self):
        return {}


class Learner:
    """Takes two optimizer steps a batch, and skips the first one of version 2."""

    def __init__(self, world, state):
        self._inner, self._steps = world.learner, state.optimizer_steps

    async def step(self, batch):
        report = await self._inner.step(batch)
        skipped = int(batch.version == 1)
        self._steps += MINIBATCHES - skipped
        return replace(report, optimizer_steps=self._steps, metrics={"learner/skipped_steps": float(skipped)})


class Store:
    """Saves whole checkpoints and the best one, as `pipelines.store` does."""

    def __init__(self, world, store):
        self._world, self._store = world, store

    async def save(self, state):
        self._world.enter("save", state.version)
        await self._world.wait()
        self._store.write(state, fill)
        self._world.enter("save best", state.version)
        if state.best_version == state.version:
            self._store.write_best(state, fill)
        self._world.enter("saved", state.version)
        return {}


class Sink:
    """The file of metrics, with a moment before and after a line."""

    def __init__(self, world, path):
        self._world, self._inner = world, JsonlSink(path)

    def write(self, version, metrics):
        self._world.enter("metrics", version)
        self._inner.write(version, metrics)
        self._world.enter("told", version)

    def close(self):
        self._inner.close()


class Log:
    """The rollouts, with a moment before and after a file."""

    def __init__(self, world, folder):
        self._world, self._folder = world, folder

        async def fetch(handles):
            return handles

        self._inner = RolloutWriter(folder.rollouts, keep="all", fetch=fetch, attempt=folder.attempt)

    async def write(self, batch, trained):
        self._world.enter("log", batch.version + 1)
        await self._world.wait()
        await self._inner.write(batch, trained)
        self._world.enter("logged", batch.version + 1)

    async def keep_failed(self, batch, why):
        await self._inner.keep_failed(batch, why)


def fill(path):
    (path / "weights").write_bytes(b"w" * 100)


def draws():
    return PromptStream(DATA, encode=lambda prompt: np.arange(3, dtype=np.int32), max_prompt_tokens=9, seed=CONFIG.run.seed)


class Mortal(World):
    """Is killed at the call number `life`, whichever that is."""

    life: int | None = None

    def enter(self, what, number):
        if self.life == len(self.journal):
            raise KilledError(f"killed at {what} {number}")
        super().enter(what, number)


def start(path, config=CONFIG, *, seed=0, failures=None, then=None, life=None, rewards=lambda version: version / 100):
    """One `toolrl rl` on the folder: True where it has ended the run, False where it was killed.

    A batch that diverges is left out when its draws come again; `then` are the failures of the attempt after it.
    """
    with RunFolder(path, config) as folder:
        store = CheckpointStore(folder.checkpoints, config.checkpoint.keep)
        folder.summary.unlink(missing_ok=True)
        world = Mortal(seed=seed, dull=dull, failures=failures or {}, rewards=rewards)
        world.life = life
        while True:
            try:
                train(folder, config, world, store)
                break
            except DivergedError as error:
                folder.leave_out([t.scored.group.draw for t in error.batch.trajectories], "loss not finite")
                folder.begin_attempt(str(error))
                world = World(seed=seed + 1, dull=dull, failures=then or {}, rewards=rewards)
            except KilledError:
                return False
        folder.write_summary(summarise(folder.metrics, folder.rollouts, str(store.newest().path)))
        return True


def train(folder, config, world, store):
    newest = store.newest()
    state = newest.state if newest else RunState()
    folder.rewind(state.version)
    mend_best(store, state, folder.lost)
    stream = draws()
    write_prompts(folder.prompts, {"train": map(stream.draw, range(len(stream)))})
    sink = Sink(world, folder.metrics)
    mine = {
        "prompts": stream, "scorer": Scorer(world), "learner": Learner(world, state), "store": Store(world, store),
        "rollout_log": Log(world, folder), "sink": sink, "left_out": folder.left_out(),
    }  # fmt: skip
    sampling = Sampling(n=GROUP, temperature=1.0, top_p=1.0, max_tokens=3)
    controller = Controller(
        loop=config.loop, evaluation=config.eval, checkpoint=config.checkpoint, sampling=sampling, algo=config.algo, state=state,
        **world.parts | mine,
    )  # fmt: skip
    try:
        asyncio.run(controller.run(config.run.steps))
    except DivergedError as error:
        error.batch = controller.failed
        raise
    finally:
        sink.close()


def mend_best(store, state, lost):
    """As `pipelines.store` does."""
    there = store.best()
    if there and there.state.version > state.version:
        store.set_best_aside(lost)
    if state.best_version == state.version and (there is None or there.state.version != state.version):
        store.write_best(state, fill)


def rewrite(path, change):
    """Write the rows of a file again, as `change` leaves them."""
    rows = pq.read_table(path).to_pylist()
    rows = change(rows) or rows
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path)


def rewrite_line(run, version, change):
    lines = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        if line["version"] == version:
            change(line)
    write_lines(run, lines)


def write_lines(run, lines):
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory):
    """A run that diverged in the batch of version 5, was killed in that of version 7, and has ended; not to be changed."""
    path = tmp_path_factory.mktemp("auditing") / "run"
    assert not start(path, failures={("step", 4): DivergedError("the gradient is not finite")}, then={("step", 6): KilledError("killed")})
    assert start(path, seed=7)
    return path


@pytest.fixture
def tools():
    return SimpleNamespace(
        start=start, config=CONFIG, killed=KilledError, rewrite=rewrite, rewrite_line=rewrite_line, write_lines=write_lines, fill=fill,
        with_staleness=lambda bound: replace(CONFIG, loop=replace(CONFIG.loop, max_staleness=bound)),
        file=lambda run, version: run / "rollouts" / file_name(version), random=random.Random, audited=audited, steps=STEPS,
    )  # fmt: skip


@pytest.fixture
def run(whole_run, tmp_path):
    """A copy of it."""
    shutil.copytree(whole_run, tmp_path / "run")
    return tmp_path / "run"
