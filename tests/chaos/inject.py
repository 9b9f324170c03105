"""`toolrl` with accidents: python inject.py ACCIDENT[+ACCIDENT…] SEED MARK arguments of toolrl …

Each happens once: where it strikes it leaves the file MARK-n, n counting from 1, and a run that is started again with the file there does
not have it.
"""

import asyncio
import functools
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import accidents
import ray
from accidents import ACCIDENTS

from toolrl.actors import learner as learners
from toolrl.actors import reward_worker
from toolrl.actors.pool import EnginePool
from toolrl.checkpoint import store
from toolrl.cli.main import main
from toolrl.controller.loop import Controller
from toolrl.evaluation.heldout import HeldoutEvaluator
from toolrl.monitor.rollouts import RolloutWriter
from toolrl.weights.push import Publisher

ray.cloudpickle.register_pickle_by_value(accidents)
KEEP_FREE = 64 * 1024
"""Bytes that a disk which is filled keeps: enough for a line of metrics, not for a checkpoint."""


class Injector:
    """Arms one accident at a moment that the seed decides, and never again."""

    def __init__(self, name, seed, mark, run):
        self.accident, self.mark, self.run = ACCIDENTS[name], mark, run
        chance = random.Random(f"{name}/{seed}")
        self.version, self.which, self.share = chance.randint(2, 4), chance.randrange(1000), chance.random()
        self.version -= self.version % 2 if self.accident.point in ("saving", "marking", "save", "evaluating") else 0
        if self.accident.how == "cut":  # the second checkpoint: there has to be one before it
            self.version = chance.randint(4, 5)
        self.controller = None
        self.armed = False
        self.engines, self.workers = [], []

    def due(self):
        """Whether the moment has come, which it does once."""
        if self.armed or self.mark.exists() or self.controller is None or self.controller.state.version < self.version:
            return False
        self.armed = True
        return True

    async def arm(self, actor, how):
        await asyncio.wait_for(_awaited(actor.__ray_call__.remote(how, self.accident.point, self.accident.how, str(self.mark))), 30)

    def own_end(self):
        """End the driver as the accident says."""
        self.mark.write_text("driver")
        if self.accident.how == "cut":
            newest = max((self.run / "checkpoints").glob("version-*"))
            victim = max((path for path in newest.rglob("*.pt")), key=lambda path: path.stat().st_size)
            os.truncate(victim, victim.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGTERM if self.accident.how == "term" else signal.SIGKILL)

    def stage(self, name):
        """Strike the driver, if this is its stage and the moment has come."""
        if self.accident.where == "driver" and self.accident.point == name and self.due():
            self.own_end()
        if self.accident.where == "cluster" and self.accident.point == name and self.due():
            subprocess.run(["pkill", "-KILL", "-P", str(os.getpid()), "raylet"], check=True)
            self.mark.write_text("raylet")
        if self.accident.where == "disk" and self.accident.point == name and self.due():
            fill(self.run)
            self.mark.with_name(self.mark.name).write_text("")  # of no bytes: there is no room for more


def fill(folder):
    """Fill the disk that holds `folder`."""
    free = shutil.disk_usage(folder).free
    with (folder.parent / "ballast").open("wb") as file:
        while free > KEEP_FREE:
            size = min(free - KEEP_FREE, 2**20)
            file.write(b"x" * size)
            file.flush()
            free = shutil.disk_usage(folder).free


async def _awaited(reference):
    return await reference


def around(owner, method, before):
    """Run `before` (a coroutine function over the same arguments) ahead of a coroutine method."""
    whole = getattr(owner, method)

    @functools.wraps(whole)
    async def wrapped(self, *arguments, **options):
        await before(self, *arguments)
        return await whole(self, *arguments, **options)

    setattr(owner, method, wrapped)


def install(injector):
    """Put the injector at every boundary of the driver's stages."""
    accident = injector.accident

    async def at_start(controller, steps):
        injector.controller = controller

    async def at_sample(pool, *_):
        if accident.where == "engine" and accident.point == "sample" and injector.due():
            serving = pool._members.serving
            await injector.arm(serving[injector.which % len(serving)].actor, accidents.arm_engine)
        if accident.where == "reward" and injector.due():
            workers = [each for each in injector.workers if each._actor is not None]
            await injector.arm(workers[injector.which % len(workers)]._actor, accidents.arm_reward)
        injector.stage("generating")

    async def at_step(group, batch):
        ranks = list(group._ranks.values())
        if accident.where == "rank" and accident.point in ("forward", "update", "backward") and injector.due():
            await injector.arm(ranks[injector.which % len(ranks)], accidents.arm_rank)
        if accident.where == "driver" and accident.point == "training" and injector.due():
            asyncio.get_running_loop().call_later(0.3 * injector.share, injector.own_end)

    async def at_push(publisher, *_):
        if accident.where == "engine" and accident.point != "sample" and injector.due():
            present = publisher._members.present
            await injector.arm(present[injector.which % len(present)].actor, accidents.arm_engine)
        if accident.where == "rank" and accident.point == "send" and injector.due():
            ranks = list(publisher._learner._ranks.values())
            await injector.arm(ranks[injector.which % len(ranks)], accidents.arm_rank)
        if accident.where == "driver" and accident.point == "pushing" and injector.due():
            asyncio.get_running_loop().call_later(0.2 * injector.share, injector.own_end)

    async def at_save(group, *_):
        if accident.where == "rank" and accident.point == "save" and injector.due():
            ranks = list(group._ranks.values())
            await injector.arm(ranks[injector.which % len(ranks)], accidents.arm_rank)
        injector.stage("saving")

    async def at_evaluation(evaluator, version):
        injector.stage("evaluating")

    async def at_log(writer, *_):
        injector.stage("logging")

    async def at_export(group, *_):
        injector.stage("exporting")

    around(Controller, "run", at_start)
    around(EnginePool, "sample", at_sample)
    around(learners.LearnerGroup, "step", at_step)
    around(Publisher, "publish", at_push)
    around(learners.LearnerGroup, "save", at_save)
    around(HeldoutEvaluator, "evaluate", at_evaluation)
    around(RolloutWriter, "write", at_log)
    around(learners.LearnerGroup, "export", at_export)

    written = store.replace_text

    def marking(path, text):
        injector.stage("marking")
        written(path, text)

    store.replace_text = marking
    made = reward_worker.RewardHandle.__init__

    def remembered(self, *arguments, **options):
        made(self, *arguments, **options)
        injector.workers.append(self)

    reward_worker.RewardHandle.__init__ = remembered


if __name__ == "__main__":
    names, seed, mark, *arguments = sys.argv[1:]
    (run,) = (each.partition("=")[2] for each in arguments if each.startswith("run.dir="))
    for number, name in enumerate(names.split("+"), start=1):
        install(Injector(name, int(seed), Path(f"{mark}-{number}"), Path(run)))
    sys.exit(main(arguments))
