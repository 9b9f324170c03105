"""What can go wrong in a run, by name: where it strikes, and how. Everything strikes real processes, files and disks.

An accident is armed in the driver, when its moment comes, inside the actor it is meant for: the next call of one of that actor's own
methods then kills or stops the process. So the moment is exact, and the code under test has no hook for it.
"""

import os
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Accident:
    """One kind of accident."""

    where: str
    """engine, rank, reward, driver, disk, or cluster."""
    point: str
    """The method that the stricken process is about to run, or the stage of the driver."""
    how: str
    """die (kill -9), core (kill -9 vLLM's core below an engine), hang (stop the process), hang_core, nan, ..."""
    settings: tuple[str, ...] = ()
    """Settings that the accident needs."""

    @property
    def first_code(self):
        """The exit code of the start that it strikes; None: any, since actors notice late that their node process is gone."""
        if self.where in ("engine", "rank", "reward"):
            return 0
        return {"die": -9, "cut": -9, "term": 75, "fill": 1}.get(self.how)

    @property
    def exact(self):
        """Whether the run ends with the weights of an undisturbed one: one engine, in step, and no batch left out."""
        return "engine.num=2" not in self.settings and self.how != "nan"


QUICK_HEALTH = ("engine.health_every_s=2", "engine.health_timeout_s=8", "weights.timeout_s=10")
TWO_ENGINES = ("engine.num=2", "cluster.num_cpus=4", "engine.threads=1", "loop.max_staleness=1")

ACCIDENTS = {
    "engine dies while generating": Accident("engine", "sample", "die", TWO_ENGINES),
    "the only engine dies while generating": Accident("engine", "sample", "die"),
    "an engine's core dies while generating": Accident("engine", "sample", "core", TWO_ENGINES),
    "an engine's core hangs while generating": Accident("engine", "sample", "hang_core", (*TWO_ENGINES, *QUICK_HEALTH)),
    "an engine's actor hangs while generating": Accident("engine", "sample", "hang", QUICK_HEALTH),
    "engine dies when it is paused for a push": Accident("engine", "pause", "die", TWO_ENGINES),
    "engine dies while weights are sent": Accident("engine", "update_weights", "die", TWO_ENGINES),
    "an engine's core dies while weights are sent": Accident("engine", "update_weights", "core"),
    "engine hangs while weights are sent": Accident("engine", "update_weights", "hang", ("weights.timeout_s=10",)),
    "engine dies between push and commit": Accident("engine", "commit", "die", TWO_ENGINES),
    "engine dies in the parity probe": Accident("engine", "probe", "die"),
    "reward worker dies": Accident("reward", "verifier", "die"),
    "reward worker hangs": Accident("reward", "verifier", "hang", ("reward.deadline_s=4",)),
    "learner rank dies in forward": Accident("rank", "forward", "die"),
    "learner rank dies in its optimizer step": Accident("rank", "update", "die"),
    "learner rank dies while saving": Accident("rank", "save", "die"),
    "learner rank dies while sending weights": Accident("rank", "send", "die"),
    "learner rank hangs in forward": Accident("rank", "forward", "hang", ("learner.step_timeout_s=20",)),
    "a gradient is not finite": Accident("rank", "backward", "nan", ("run.on_divergence=rewind",)),
    "driver dies while generating": Accident("driver", "generating", "die"),
    "driver dies while training": Accident("driver", "training", "die"),
    "driver dies in a push": Accident("driver", "pushing", "die"),
    "driver dies while evaluating": Accident("driver", "evaluating", "die", ("eval.every=2",)),
    "driver dies while ranks save": Accident("driver", "saving", "die"),
    "driver dies before the mark of a checkpoint": Accident("driver", "marking", "die"),
    "driver dies while rollouts are written": Accident("driver", "logging", "die"),
    "driver dies while the model is exported": Accident("driver", "exporting", "die"),
    "driver is preempted": Accident("driver", "training", "term"),
    "driver dies, and its newest checkpoint is cut short": Accident("driver", "training", "cut"),
    "the disk is full when a checkpoint is written": Accident("disk", "saving", "fill"),
    "Ray's node process dies": Accident("cluster", "generating", "raylet"),
}
"""By what one would tell a colleague."""


def children_of(pid):
    """Return the processes that `pid` made, and those that they made."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            found += [child, *children_of(child)]
    return found


def strike(how, mark):
    """Kill or stop this process, or vLLM's core below it, and leave `mark`."""
    Path(mark).write_text(str(os.getpid()))
    targets = [os.getpid()]
    if how.endswith("core"):
        targets = [pid for pid in children_of(os.getpid()) if b"EngineCore" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    for pid in targets:
        os.kill(pid, signal.SIGSTOP if how.startswith("hang") else signal.SIGKILL)


def arm_engine(actor, point, how, mark):
    """Let the actor of an engine be struck when it next runs `point` of its engine."""
    engine = actor._engine
    whole = getattr(engine, point)

    async def struck(*arguments, **options):
        setattr(engine, point, whole)
        strike(how, mark)
        return await whole(*arguments, **options)

    setattr(engine, point, struck)


def arm_rank(actor, point, how, mark):
    """Let a learner rank be struck when it next runs `point` of its trainer or of its sender."""
    owner = actor._sender if point == "send" else actor._learner._ready
    whole = getattr(owner, point)

    def struck(*arguments, **options):
        setattr(owner, point, whole)
        if how == "nan":
            Path(mark).write_text(str(os.getpid()))
            loss, *rest = arguments
            return whole(loss * float("nan"), *rest, **options)
        strike(how, mark)
        return whole(*arguments, **options)

    setattr(owner, point, struck)


def arm_reward(actor, point, how, mark):
    """Let a reward worker be struck when it next judges."""
    whole = actor._verifier

    def struck(prompt, text):
        actor._verifier = whole
        strike(how, mark)
        return whole(prompt, text)

    actor._verifier = struck
