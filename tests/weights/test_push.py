"""The order of a push, and what each failure leaves behind."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from toolrl.config.schema import WeightsConfig
from toolrl.errors import DeadlineError, DisagreementError, LearnerError, LearnerLostError, RolloutError, WeightSyncError
from toolrl.types import WeightVersion
from toolrl.weights.gate import Gate
from toolrl.weights.manifest import LoadReport, Manifest, TensorSpec
from toolrl.weights.membership import EngineEvent, Membership
from toolrl.weights.push import Publisher

SENT = Manifest((TensorSpec("w", (2, 3), "float32", 24, 0), TensorSpec("b", (3,), "float32", 12, 0)))
PROBES = [np.array([5, 6, 7], dtype=np.int32)]
AFTER_SEND = ["manifest", "reset_caches", "commit 3", "resume"]


class _Once:
    """Trouble that is made when it is met."""

    def __init__(self, make):
        self.make = make


class Party:
    """Records every call in a shared list, and fails or falls silent where told to."""

    def __init__(self, name, events, gate):
        self.name = name
        self.trouble = {}
        self.logprobs = [np.array([-1.0, -2.0], dtype=np.float32)]
        self._events, self._gate = events, gate

    async def _do(self, what):
        assert not self._gate.is_open, f"{what} with the gate open"
        self._events.append(f"{self.name}: {what}")
        trouble = self.trouble.get(what.split()[0])
        if trouble == "silent":
            await asyncio.Event().wait()
        if isinstance(trouble, _Once):
            raise trouble.make()
        if trouble is not None:
            raise trouble

    async def probe(self, sequences):
        assert sequences == tuple(PROBES)
        await self._do("probe")
        return self.logprobs


class RecordingEngine(Party):
    reports = (LoadReport("e worker 0", SENT, ()),)
    dead = False

    async def pause(self, *, recompute):
        await self._do(f"pause recompute={recompute}")

    async def manifest(self):
        await self._do("manifest")
        return list(self.reports)

    async def reset_caches(self):
        await self._do("reset_caches")

    async def commit(self, version):
        await self._do(f"commit {version}")

    async def resume(self):
        await self._do("resume")

    async def health(self, *, timeout_s):
        if self.dead:
            raise RolloutError(f"{self.name} is dead")


class RecordingLearner(Party):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.connected = []

    async def connect(self, engines):
        self.connected.append([engine.name for engine in engines])
        await self._do("connect")

    async def send(self):
        await self._do("send")
        return SENT


class Scene:
    """A publisher among recording fakes."""

    def __init__(self, *, engines=1, dtype="float32", replaced=False, **settings):
        self.gate, self.events = Gate(), []
        self.learner = RecordingLearner("learner", self.events, self.gate)
        self.engines = [RecordingEngine(f"engine-{i}", self.events, self.gate) for i in range(engines)]
        config = replace(WeightsConfig(timeout_s=0.05), **settings)
        self.members = Membership(self.engines)
        common = {"dtype": dtype, "probes": PROBES, "drain_timeout_s": 0.05, "replaced": replaced}
        self.publisher = Publisher(self.members, self.learner, self.gate, config, **common)

    def publish(self, version=3):
        return asyncio.run(self.publisher.publish(WeightVersion(version)))

    def fails(self, error):
        with pytest.raises(error) as caught:
            self.publish()
        assert not self.gate.is_open
        return str(caught.value)


@pytest.mark.parametrize(("in_flight", "recompute"), [("recompute", True), ("keep_kv", False), ("drain", False)])
def test_the_order_of_a_push(in_flight, recompute):
    scene = Scene(in_flight=in_flight)
    scene.publish()
    assert scene.events == [
        "learner: connect",
        f"engine-0: pause recompute={recompute}",
        "learner: send",
        *[f"engine-0: {event}" for event in AFTER_SEND],
        "engine-0: probe",
        "learner: probe",
    ]
    assert scene.gate.is_open


def test_a_phase_begins_when_every_engine_has_ended_the_one_before():
    scene = Scene(engines=3)
    scene.publish()
    phases = [event.split(": ")[1].split()[0] for event in scene.events]
    assert phases == [
        "connect",
        *["pause"] * 3,
        "send",
        *["manifest"] * 3,
        *["reset_caches"] * 3,
        *["commit"] * 3,
        *["resume"] * 3,
        *["probe"] * 4,
    ]


def test_the_group_is_formed_once():
    scene = Scene()
    scene.publish(0)
    scene.publish(1)
    assert scene.events.count("learner: connect") == 1
    assert scene.events.count("learner: send") == 2


def test_after_a_failed_push_a_new_group_is_formed():
    scene = Scene()
    scene.learner.trouble["send"] = WeightSyncError("broken")
    scene.fails(WeightSyncError)
    scene.learner.trouble.clear()
    scene.publish()
    assert scene.events.count("learner: connect") == 2
    assert scene.gate.is_open


def test_drain_waits_for_those_inside_before_it_pauses():
    async def scenario():
        scene = Scene(in_flight="drain")
        scene.gate.open()
        leave = asyncio.Event()

        async def draw():
            async with scene.gate:
                await leave.wait()
                scene.events.append("draw left")

        inside = asyncio.create_task(draw())
        await asyncio.sleep(0)
        push = asyncio.create_task(scene.publisher.publish(WeightVersion(1)))
        for _ in range(10):
            await asyncio.sleep(0)
        assert scene.events == ["learner: connect"]
        leave.set()
        await asyncio.gather(inside, push)
        assert scene.events[:3] == ["learner: connect", "draw left", "engine-0: pause recompute=False"]

    asyncio.run(scenario())


def test_a_drain_that_does_not_end_says_how_many_are_inside():
    async def scenario():
        scene = Scene(in_flight="drain")
        scene.gate.open()
        async with scene.gate:
            with pytest.raises(DeadlineError, match=r"push, drain: no answer from 1 draws in flight within 0\.05 s"):
                await scene.publisher.publish(WeightVersion(1))
        assert not scene.gate.is_open
        assert "engine-0: pause recompute=False" not in scene.events

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("reports", "words"),
    [
        ([LoadReport("engine-0 worker 1", Manifest(SENT.tensors[:1]), ())], "engine-0 worker 1: b did not arrive"),
        ([LoadReport("engine-0 worker 0", SENT, ("qkv: 8 of 12 elements loaded",))], "qkv: 8 of 12 elements loaded"),
        ([], "engine-0: no worker reported"),
    ],
)
def test_a_manifest_that_differs_stops_before_the_version_is_committed(reports, words):
    scene = Scene()
    scene.engines[0].reports = reports
    assert words in scene.fails(WeightSyncError)
    assert "engine-0: commit 3" not in scene.events


def test_many_differences_are_counted_rather_than_listed():
    scene = Scene(engines=10)
    for engine in scene.engines:
        engine.reports = [LoadReport(f"{engine.name} worker 0", Manifest(SENT.tensors[:1]), ())]
    assert scene.fails(WeightSyncError).endswith("engine-7 worker 0: b did not arrive, and 2 more")


def test_a_probe_over_the_bound_leaves_the_gate_shut_and_names_the_engine_and_the_numbers():
    scene = Scene(engines=2)
    scene.engines[1].logprobs = [np.array([-1.0, -2.001], dtype=np.float32)]
    message = scene.fails(WeightSyncError)
    assert "engine-1: mean |Δ log p|" in message
    assert "0.0005 nats, more than 1e-05" in message
    assert scene.events[-1].endswith("probe")


@pytest.mark.parametrize(
    ("phase", "seconds"), [*((phase, "0.05") for phase in ("pause", "manifest", "reset_caches", "commit", "resume")), ("probe", "0.125")]
)
def test_an_engine_that_falls_silent_is_named_with_the_phase(phase, seconds):
    scene = Scene(engines=2)
    scene.engines[1].trouble[phase] = "silent"
    assert scene.fails(DeadlineError) == f"push, {phase.replace('_', ' ')}: no answer from engine-1 within {seconds} s"


@pytest.mark.parametrize(("phase", "seconds"), [("connect", "0.125"), ("send", "0.125"), ("probe", "0.05")])
def test_a_learner_that_falls_silent_is_named_with_the_phase(phase, seconds):
    scene = Scene()
    scene.learner.trouble[phase] = "silent"
    assert scene.fails(LearnerLostError) == f"push, {phase}: no answer from the learner within {seconds} s"
    assert scene.members.states == {"engine-0": "stale"}


def test_a_failure_is_raised_while_another_party_is_silent():
    scene = Scene(engines=2, timeout_s=60.0)
    scene.engines[0].trouble["pause"] = "silent"
    scene.engines[1].trouble["pause"] = KeyError("core")
    assert scene.fails(WeightSyncError) == "push, pause: engine-1 failed: KeyError('core')"


def test_an_error_of_ours_passes_as_it_is():
    scene = Scene()
    scene.learner.trouble["send"] = LearnerError("rank 1 died")
    assert scene.fails(LearnerError) == "rank 1 died"


@pytest.mark.parametrize(
    ("every", "versions", "probed"),
    [(1, (0, 1, 2), (0, 1, 2)), (2, (0, 1, 2, 3), (0, 2)), (2, (7, 8, 9), (7, 8)), (0, (5, 6), (5,))],
)
def test_the_first_push_is_probed_and_then_every_nth_version(every, versions, probed):
    scene = Scene(probe_every=every)
    metrics = {version: scene.publish(version).metrics for version in versions}
    assert tuple(v for v in versions if "weights/parity_max_abs_dlogp" in metrics[v]) == probed


def test_a_report_holds_the_worst_engine_the_bytes_and_the_seconds_of_each_phase():
    scene = Scene(engines=2)
    scene.engines[1].logprobs = [np.array([-1.0, -2.000015], dtype=np.float32)]
    report = scene.publish(3)
    assert report.version == 3
    assert report.metrics["weights/bytes"] == 36
    assert report.metrics["weights/parity_max_abs_dlogp"] == pytest.approx(1.5e-5, rel=2e-2)
    assert report.metrics["weights/parity_mean_abs_dlogp"] == pytest.approx(7.5e-6, rel=2e-2)
    phases = {"push_s", "connect_s", "drain_s", "pause_s", "send_s", "commit_s", "probe_s"}
    assert {f"weights/{phase}" for phase in phases} <= report.metrics.keys()


def test_in_bfloat16_the_first_push_sets_the_bound_for_the_next():
    scene = Scene(dtype="bfloat16")
    scene.engines[0].logprobs = [np.array([-1.01, -2.01], dtype=np.float32)]
    scene.publish(0)
    scene.engines[0].logprobs = [np.array([-1.05, -2.05], dtype=np.float32)]
    assert "mean |Δ log p|" in scene.fails(WeightSyncError)


@pytest.mark.parametrize("phase", ["pause", "send", "manifest", "reset_caches", "commit", "resume", "probe"])
def test_an_engine_that_dies_in_a_push_breaks_it_and_the_push_is_made_again_with_a_new_group_and_those_that_are_left(phase):
    scene = Scene(engines=2, replaced=True)
    scene.publish(2)
    victim = scene.learner if phase == "send" else scene.engines[1]

    def dies():
        scene.engines[1].dead = True
        victim.trouble.clear()
        return WeightSyncError("its process is gone")

    victim.trouble[phase] = _Once(dies)
    del scene.events[:]
    report = scene.publish(3)
    assert (report.version, scene.gate.is_open) == (3, True)
    assert scene.members.states == {"engine-0": "healthy", "engine-1": "dead"}
    assert scene.members.last_end(scene.engines[1]) == "engine-1 is dead"
    second = scene.events[scene.events.index("learner: connect") :]
    assert not [event for event in second if event.startswith("engine-1")], "the dead one is left out"
    assert [event for event in second if event.startswith("engine-0")] == [
        "engine-0: pause recompute=True", *(f"engine-0: {event}" for event in AFTER_SEND), "engine-0: probe",
    ]  # fmt: skip
    assert scene.learner.connected == [["engine-0", "engine-1"], ["engine-0"]]


def test_a_core_that_dies_in_the_probe_costs_its_engine_and_not_the_run():
    """What an actor tells of its dead core is no error of the push, but of sampling."""
    scene = Scene(engines=2, replaced=True)
    scene.publish(2)

    def dies():
        scene.engines[1].dead = True
        scene.engines[1].trouble.clear()
        return RolloutError("engine-1 died during probe")

    scene.engines[1].trouble["probe"] = _Once(dies)
    assert scene.publish(3).version == 3
    assert scene.members.states == {"engine-0": "healthy", "engine-1": "dead"}


def test_an_engine_that_was_replaced_while_others_finished_the_push_is_not_verified_by_it():
    scene = Scene(engines=2, replaced=True)
    scene.publish(2)

    whole = scene.learner.probe

    async def probe(sequences):
        scene.members.lose(scene.engines[1], "a draw found it dead")
        for event in (EngineEvent.RESTART, EngineEvent.STARTED):
            scene.members.note(scene.engines[1], event)
        return await whole(sequences)

    scene.learner.probe = probe
    scene.publish(3)
    assert scene.members.states == {"engine-0": "healthy", "engine-1": "stale"}
    assert scene.members.losses(scene.engines[1]) == 1


def test_a_transfer_group_is_formed_again_only_when_members_change():
    scene = Scene(engines=2, replaced=True)
    scene.publish(1)
    scene.publish(2)
    scene.members.note(scene.engines[0], EngineEvent.LOST)
    scene.publish(3)
    scene.members.note(scene.engines[0], EngineEvent.RESTART)
    scene.publish(4)
    scene.members.note(scene.engines[0], EngineEvent.STARTED)
    scene.publish(5)
    assert scene.learner.connected == [["engine-0", "engine-1"], ["engine-1"], ["engine-0", "engine-1"]]
    assert set(scene.members.states.values()) == {"healthy"}


def test_engines_that_answer_are_stale_after_a_push_that_broke_too_often():
    scene = Scene(engines=2, replaced=True)
    scene.learner.trouble["send"] = WeightSyncError("the network is down")
    assert scene.fails(WeightSyncError) == "the network is down"
    assert scene.events.count("learner: send") == 3
    assert scene.members.states == {"engine-0": "stale", "engine-1": "stale"}


@pytest.mark.parametrize("trouble", ["manifest", "probe"])
def test_a_disagreement_is_never_tried_again(trouble):
    scene = Scene(replaced=True)
    if trouble == "manifest":
        scene.engines[0].reports = ()
    else:
        scene.engines[0].logprobs = [np.array([-1.0, -2.001], dtype=np.float32)]
    scene.fails(DisagreementError)
    assert scene.events.count("learner: send") == 1
    assert scene.members.states == {"engine-0": "stale"}


def test_an_engine_that_comes_back_is_wanted():
    async def run():
        scene = Scene(engines=2, replaced=True)
        await scene.publisher.publish(WeightVersion(1))
        wanted = asyncio.ensure_future(scene.publisher.wanted())
        await asyncio.sleep(0)
        assert not wanted.done()
        for event in (EngineEvent.LOST, EngineEvent.RESTART, EngineEvent.STARTED):
            scene.members.note(scene.engines[1], event)
        await asyncio.wait_for(wanted, 1)
        await scene.publisher.publish(WeightVersion(1))
        assert scene.members.serving == tuple(scene.engines)

    asyncio.run(run())
