"""When engines outlive their stage, and when not; in fakes of what Ray gives."""

from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

from toolrl.actors import session as sessions
from toolrl.actors.placement import Bundle, Node
from toolrl.actors.session import Session
from toolrl.config.schema import ClusterConfig, EngineConfig
from toolrl.errors import PlacementError
from toolrl.rollout.settings import EngineSettings

CLUSTER = ClusterConfig(num_cpus=2)
ENGINE = Bundle(1.0, 0, ("engine-0",))
LEARNER = Bundle(0.8, 0, ("learner-0",))
SETTINGS = EngineSettings("engine-0", "model", "float32", 1, 8, 64, 0.1, 0.5, True, 1, "cpu", "gloo", 10.0)


class Ray:
    """Records what is joined, granted and ended."""

    def __init__(self, monkeypatch):
        self.events = []
        self.made = 0
        self.served = []
        """Which kept engine was told that it belongs to which run."""
        monkeypatch.setattr(sessions, "connected", self.connected)
        monkeypatch.setattr(sessions, "granted", self.granted)
        monkeypatch.setattr(sessions, "live_nodes", lambda: (Node("here", 2.0, 0.0),))
        monkeypatch.setattr(sessions, "Stage", self.stage)
        kept = lambda _, make, timeout_s, kept: SimpleNamespace(actor=kept, started=True)  # noqa: E731
        monkeypatch.setattr(sessions, "EngineHandle", kept)
        monkeypatch.setattr(sessions, "_end", lambda engine: self.events.append(f"end {engine.actor}"))

    @contextmanager
    def connected(self, cluster):
        self.events.append(f"join {cluster.address}")
        yield
        self.events.append("leave")

    @contextmanager
    def granted(self, placement, *, timeout_s):
        roles = ",".join(role for bundle in placement.bundles for role in bundle.roles)
        self.events.append(f"grant {roles}")
        try:
            yield roles
        finally:
            self.events.append(f"return {roles}")

    def stage(self, placement, group, *, on_gpu, room=None, run=""):
        def engines(settings, config, *, timeout_s):
            if room is not None:
                return room.engines(settings, config, timeout_s=timeout_s, run=run)
            self.made += 1
            return [SimpleNamespace(actor=self.actor(f"actor-{self.made}"), started=False, settings=each) for each in settings]

        return SimpleNamespace(engines=engines, engine_maker=lambda settings, config: None, group=group)

    def actor(self, name):
        """Its name, and what it is told."""
        serve = SimpleNamespace(remote=lambda run: self.served.append((name, run)))
        return type("Actor", (str,), {"serve": serve})(name)


@pytest.fixture
def fake(monkeypatch):
    return Ray(monkeypatch)


def engine_of(stage, settings=SETTINGS):
    """Get the stage's engine, and start it as a pool does."""
    (engine,) = stage.engines([settings], EngineConfig(), timeout_s=1.0)
    was = engine.started
    engine.started = True
    return engine.actor, was


def test_an_engine_stays_between_stages_that_ask_for_the_same_and_the_learner_goes(fake):
    with Session(keep=True) as session:
        with session.stage(CLUSTER, [ENGINE, LEARNER], "first") as stage:
            assert engine_of(stage) == ("actor-1", False)
        with session.stage(CLUSTER, [ENGINE], "second") as stage:
            assert engine_of(stage, replace(SETTINGS, sample_timeout_s=99.0)) == ("actor-1", True)
    assert fake.served == [("actor-1", "second")]
    assert fake.events == [
        "join local", "grant engine-0", "grant learner-0", "return learner-0", "return engine-0", "leave",
    ]  # fmt: skip


def test_without_keep_everything_is_granted_together_and_given_back(fake):
    with Session() as session:
        for _ in range(2):
            with session.stage(CLUSTER, [ENGINE, LEARNER]) as stage:
                assert engine_of(stage)[1] is False
    assert fake.events == ["join local", *["grant engine-0,learner-0", "return engine-0,learner-0"] * 2, "leave"]


def test_another_engine_takes_the_place_of_the_kept_one(fake):
    with Session(keep=True) as session:
        for length in (64, 128):
            with session.stage(CLUSTER, [ENGINE]) as stage:
                assert engine_of(stage, replace(SETTINGS, max_model_len=length))[1] is False
    assert "end actor-1" in fake.events


def test_a_model_of_another_shape_is_no_reason_to_keep_an_engine(fake, tmp_path):
    folders = []
    for width in (64, 64, 128):
        folder = tmp_path / str(len(folders))
        folder.mkdir()
        (folder / "config.json").write_text(f'{{"hidden_size": {width}, "transformers_version": "{len(folders)}"}}')
        (folder / "tokenizer.json").write_text("{}")
        folders.append(str(folder))
    with Session(keep=True) as session:
        found = []
        for folder in folders:
            with session.stage(CLUSTER, [ENGINE]) as stage:
                found.append(engine_of(stage, replace(SETTINGS, model_path=folder)))
    assert found == [("actor-1", False), ("actor-1", True), ("actor-2", False)]


def test_a_kept_engine_makes_room_for_a_stage_without_engines_where_both_do_not_fit(fake):
    with Session(keep=True) as session:
        with session.stage(CLUSTER, [ENGINE]) as stage:
            engine_of(stage)
        with session.stage(CLUSTER, [LEARNER]):
            assert fake.events[-1] == "grant learner-0"
            assert "return engine-0" not in fake.events
        with session.stage(CLUSTER, [replace(LEARNER, cpus=1.5)]):
            assert fake.events[-2:] == ["return engine-0", "grant learner-0"]


def test_engines_that_share_their_bundle_with_the_learner_are_not_kept_and_kept_ones_give_way_to_them(fake):
    shared = Bundle(1.8, 0, ("engine-0", "learner-0"))
    with Session(keep=True) as session:
        with session.stage(CLUSTER, [ENGINE]) as stage:
            engine_of(stage)
        with session.stage(CLUSTER, [shared]) as stage:
            assert engine_of(stage)[1] is False
        with session.stage(CLUSTER, [ENGINE]) as stage:
            assert engine_of(stage)[1] is False
    assert fake.events[1:6] == [
        "grant engine-0", "return engine-0", "grant engine-0,learner-0", "return engine-0,learner-0", "grant engine-0",
    ]  # fmt: skip


def test_a_stage_that_fails_leaves_no_engine_behind(fake):
    with Session(keep=True) as session:

        def fail():
            with session.stage(CLUSTER, [ENGINE, LEARNER]) as stage:
                engine_of(stage)
                raise RuntimeError("in the stage")

        with pytest.raises(RuntimeError, match="in the stage"):
            fail()
        assert fake.events[-2:] == ["return learner-0", "return engine-0"]
        with session.stage(CLUSTER, [ENGINE]) as stage:
            assert engine_of(stage)[1] is False


def test_an_engine_that_never_started_is_not_kept(fake):
    with Session(keep=True) as session:
        with session.stage(CLUSTER, [ENGINE]) as stage:
            stage.engines([SETTINGS], EngineConfig(), timeout_s=1.0)
        with session.stage(CLUSTER, [ENGINE]) as stage:
            assert engine_of(stage) == ("actor-2", False)


def test_a_local_cluster_that_is_too_small_is_told_before_it_is_started(fake):
    with Session() as session, pytest.raises(PlacementError, match="the cluster is too small"):
        session.stage(CLUSTER, [replace(ENGINE, cpus=3.0)]).__enter__()
    assert fake.events == []


def test_another_cluster_is_joined_once_the_one_before_is_left(fake):
    other = ClusterConfig(address="host:6379")
    with Session(keep=True) as session:
        for cluster in (CLUSTER, CLUSTER, other):
            with session.stage(cluster, [ENGINE]) as stage:
                engine_of(stage)
    left = ["return engine-0", "leave"]
    assert [event for event in fake.events if "grant" not in event] == ["join local", *left, "join host:6379", *left]
