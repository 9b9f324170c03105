"""The race of `peer_trl.py`: our loop, assembled as `toolrl rl` assembles it, and TRL in a process of its own, in turns.

    Controller ─> … step, step ─> evaluation: Turns ─> Peer ─> `peer_trl_worker.py`: step, step ─> back

Nothing of ours is in flight while TRL steps, and our step time leaves evaluations out.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from toolrl.actors.learner import LearnerGroup
from toolrl.actors.pool import EnginePool
from toolrl.actors.rank import SenderSettings
from toolrl.actors.reward import ScorerPool
from toolrl.actors.start import Stage
from toolrl.actors.wait import objects
from toolrl.config.schema import RlConfig
from toolrl.controller.loop import Controller
from toolrl.errors import RolloutError, RunError
from toolrl.monitor.rollouts import RolloutWriter
from toolrl.pipelines.inputs import Inputs
from toolrl.pipelines.training import probes, sampling_of
from toolrl.rollout.settings import EngineSettings
from toolrl.types import RunState, WeightVersion
from toolrl.weights.gate import Gate
from toolrl.weights.membership import Membership
from toolrl.weights.push import Publisher

START_TIMEOUT_S, STEP_TIMEOUT_S = 240.0, 60.0
MIB = 2**20


@dataclass(frozen=True)
class Step:
    """One step of either side."""

    s: float
    completions: float
    tokens: float
    right: float
    """Completions with reward 1."""
    parts: Mapping[str, float]
    """Seconds by stage."""


def rate(steps: Sequence[Step]) -> float:
    """Return completions per second."""
    return sum(step.completions for step in steps) / sum(step.s for step in steps)


class Peer:
    """TRL in a process of its own, which steps when it is told to."""

    def __init__(self, mode: str, threads: int, arguments: Sequence[str]) -> None:
        self.mode = mode
        self._command = (sys.executable, str(Path(__file__).with_name("peer_trl_worker.py")), mode, str(threads), *arguments)
        self._threads = threads

    async def __aenter__(self) -> "Peer":
        """Start the process."""
        self._folder = TemporaryDirectory(prefix="peer-trl-log-")
        self._log = Path(self._folder.name) / "log"
        environment = os.environ | {
            "OMP_NUM_THREADS": str(self._threads),
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        }
        with self._log.open("w") as log:
            pipe = asyncio.subprocess.PIPE
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=pipe, stdout=pipe, stderr=log, env=environment, limit=16 * MIB
            )
        return self

    async def steps(self, number: int, *, timeout_s: float) -> list[Step]:
        """Let TRL take `number` steps. Raises RunError with the end of its log where it cannot."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{number}\n".encode())
        try:
            async with asyncio.timeout(timeout_s):
                line = await self._process.stdout.readline()
        except TimeoutError as error:
            raise RunError(f"TRL ({self.mode}) did not take {number} steps within {timeout_s:g} s") from error
        if not line:
            said = [text for text in self._log.read_text(errors="replace").splitlines() if text.strip()]
            raise RunError(f"TRL ({self.mode}) ended: {said[-1][:300] if said else 'it said nothing'}")
        return [Step(**step) for step in json.loads(line)]

    async def __aexit__(self, *_: object) -> None:
        """Stop it: at the end of its input, else by force."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            async with asyncio.timeout(20):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._folder.cleanup()


@dataclass
class Turns:
    """Our loop's evaluator: while the loop waits for it, TRL takes its turn."""

    peer: Peer
    steps: int
    last: int
    taken: list[Step] = field(default_factory=list)

    async def evaluate(self, version: WeightVersion) -> Mapping[str, float]:
        """Let TRL take the steps that we take next."""
        if version < self.last:
            timeout_s = self.steps * STEP_TIMEOUT_S + (0 if self.taken else START_TIMEOUT_S)
            self.taken += await self.peer.steps(self.steps, timeout_s=timeout_s)
            print(f"  TRL    {rate(self.taken[-self.steps :]):6.1f} completions/s", flush=True)
        return {}


@dataclass
class Ours:
    """Our loop's sink and store: keeps the metrics of each step, and nothing on disk."""

    rows: list[Mapping[str, float]] = field(default_factory=list)

    def write(self, version: WeightVersion, metrics: Mapping[str, float]) -> None:
        """Keep the metrics of a step; those of version 0 are no step."""
        if version:
            self.rows.append(dict(metrics))

    def close(self) -> None:
        """Nothing to release."""

    async def save(self, state: RunState) -> Mapping[str, float]:
        """No checkpoint belongs to a step."""
        return {}

    def taken(self) -> list[Step]:
        """Return the steps."""
        return [_step(row) for row in self.rows]


def _step(row: Mapping[str, float]) -> Step:
    push = {f"push, {part}": row[f"weights/{part}_s"] for part in ("pause", "send", "commit", "probe")}
    parts = {"generation and reward": row["loop/wait_generation_s"], "learner": row["loop/learner_s"], **push}
    other = {"other": row["loop/step_s"] - sum(parts.values())}
    completions = row["loop/completions"]
    return Step(row["loop/step_s"], completions, row["loop/tokens"], row["reward/mean"] * completions, parts | other)


async def race(config: RlConfig, inputs: Inputs, stage: Stage, peer: Peer, steps: int, folder: Path) -> tuple[list[Step], list[Step]]:
    """Run our loop, TRL stepping in its pauses. Returns the steps of TRL, and ours."""
    gate, ours = Gate(), Ours()
    settings = [EngineSettings.from_config(config, inputs.model_path, f"engine-{i}") for i in range(config.engine.num)]
    engines = stage.engines(settings, config.engine, timeout_s=config.weights.timeout_s)
    members = Membership(engines)
    pool = EnginePool(engines, members, gate)
    rank = {
        "model": replace(config.model, path=inputs.model_path),
        "learner": config.learner,
        "algo": config.algo,
        "temperature": config.sampling.temperature,
        "device": config.cluster.device,
        "seed": config.run.seed,
        "total_steps": config.run.steps,
    }
    sender = SenderSettings(config.weights.backend, config.weights.bucket_mib * MIB, config.model.dtype, config.weights.timeout_s)
    learner = LearnerGroup(stage.learners(config.learner, rank, sender), config.learner, algo=config.algo)
    scorer = ScorerPool(lambda i: stage.reward_worker(i, inputs.verifier, config.reward), config.reward)
    drawn = probes(inputs, config.weights.probe_prompts, config.max_model_len - 1)
    limit_s = config.engine.sample_timeout_s
    turns = Turns(peer, steps, config.run.steps)
    controller = Controller(
        loop=config.loop,
        evaluation=config.eval,
        checkpoint=config.checkpoint,
        sampling=sampling_of(config),
        algo=config.algo,
        prompts=inputs.train,
        engines=pool,
        scorer=scorer,
        learner=learner,
        weights=Publisher(members, learner, gate, config.weights, dtype=config.model.dtype, probes=drawn, drain_timeout_s=limit_s),
        evaluator=turns,
        store=ours,
        rollout_log=RolloutWriter(
            folder,
            keep=config.monitor.rollouts,
            fetch=lambda handles: objects("groups to log", handles, timeout_s=limit_s, error=RolloutError),
            attempt=1,
        ),
        sink=ours,
        state=RunState(),
    )
    async with peer:
        await asyncio.gather(pool.start(timeout_s=config.engine.start_timeout_s), learner.start(), scorer.start())
        try:
            await controller.run(config.run.steps)
        finally:
            await scorer.stop()
    return turns.taken, ours.taken()
