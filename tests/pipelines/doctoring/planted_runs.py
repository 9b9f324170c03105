"""Run folders as real runs leave them: written by the writers of a run, one of them in a process of its own that can be killed."""

import asyncio
import os
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

from toolrl.actors.progress import CALLS
from toolrl.actors.whereabouts import Place
from toolrl.checkpoint.store import CheckpointStore
from toolrl.config.load import load
from toolrl.config.schema import RlConfig
from toolrl.monitor.lines import JsonlSink
from toolrl.monitor.rundir import RunFolder
from toolrl.pipelines.live_status import Reporter, Sources
from toolrl.types import RunState

VERSIONS, STEPS = 3, 10
HOST = os.uname().nodename


def shards(folder):
    (folder / "global_step").mkdir()
    (folder / "global_step" / "rank_0_optim_states.pt").write_bytes(bytes(range(256)) * 64)


@contextmanager
def driven(path: Path):
    """A run of three versions, open; yields its reporter."""
    config = load(RlConfig, ["conf/demo.yaml", f"run.dir={path}", f"run.steps={STEPS}"])
    with RunFolder(path, config) as folder:
        sink, store = JsonlSink(folder.metrics), CheckpointStore(folder.checkpoints, 2)
        for version in range(1, VERSIONS + 1):
            stages = {"loop/learner_s": 0.4, "loop/push_s": 0.2, "loop/wait_generation_s": 1.0}
            sink.write(version, {**stages, "rollout/truncated_share": 0.1, "engine/replaced": 0.0})
            store.write(RunState(version=version, draws_taken=8 * version), shards)
        sink.close()
        with Reporter(folder, STEPS) as reporter:
            reporter.follow(Sources(lambda: RunState(version=VERSIONS, draws_taken=8 * VERSIONS)))
            yield reporter


def dead(path: Path, error: BaseException, stage="checkpoint"):
    """A run that ended with `error`."""
    with suppress(type(error)), driven(path) as reporter:
        reporter.enter(stage)
        raise error
    return path


class Actors:
    """Real processes in place of actors, known to status.json by their names."""

    def __init__(self, reporter):
        self._reporter, self._places, self.processes = reporter, {}, {}
        reporter._places = SimpleNamespace(of=self._of, keep=lambda ids: None, close=lambda: None)

    def _of(self, actor_id):
        return Place(HOST, "127.0.0.1", self._places[actor_id]) if actor_id in self._places else Place()

    def add(self, name, *command):
        child = subprocess.Popen(command or (sys.executable, "-c", "import time; time.sleep(600)"), start_new_session=True)
        actor_id = f"{len(self._places) + 1:02x}"
        self._places[actor_id], self.processes[name] = child.pid, child
        with CALLS.waiting("starting", [name], {name: self.handle(name, actor_id)}, 60, "") as call:
            CALLS.answered(call, name)
        return child

    def handle(self, name, actor_id=None):
        return SimpleNamespace(_actor_id=bytes.fromhex(actor_id or CALLS.actors[name].actor_id))

    def handles(self):
        return {name: self.handle(name) for name in self.processes}

    def end(self):
        for child in self.processes.values():
            child.kill()
            child.wait()


SCRIPT = """
import sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from planted_runs import driven
with driven(Path(sys.argv[1])) as reporter:
    reporter.enter("learner")
    time.sleep(600)
"""


@contextmanager
def driver_process(path: Path):
    """Another process that drives the run."""
    child = subprocess.Popen([sys.executable, "-c", SCRIPT, str(path), str(Path(__file__).parent)], start_new_session=True)
    try:
        end = time.monotonic() + 60
        while not ((path / "status.json").exists() and '"stage": "learner"' in (path / "status.json").read_text()):
            assert child.poll() is None, "the driver ended"
            assert time.monotonic() < end
            time.sleep(0.1)
        yield child
    finally:
        child.kill()
        child.wait()


async def turn(reporter, seconds=0.0):
    reporter.beat()
    await asyncio.sleep(seconds)
