"""Faults that were planted by the real code or a real process: the doctor names the right culprit. Those of real runs: `tests/cluster`."""

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from planted_runs import HOST, Actors, dead, driven, driver_process

from toolrl.actors.progress import CALLS
from toolrl.checkpoint.store import CheckpointStore
from toolrl.config.load import load
from toolrl.config.schema import RlConfig
from toolrl.errors import CheckpointError, DeadlineError, LearnerLostError, PreemptedError
from toolrl.monitor.rundir import RunFolder
from toolrl.monitor.status import read_status
from toolrl.pipelines.doctor import of_run
from toolrl.pipelines.doctoring.findings import Report, Severity
from toolrl.pipelines.doctoring.head import check_ray
from toolrl.pipelines.doctoring.machine import check_machine, check_shared, room_of
from toolrl.pipelines.doctoring.processes import children, process
from toolrl.pipelines.doctoring.stack import check_stack, installed
from toolrl.pipelines.live_status import Sources


def silent(progress):
    """Nobody listens."""


def worst(report):
    """The finding that is told first."""
    assert report.sorted, report.facts
    return report.sorted[0]


def told(finding):
    return "\n".join((finding.what, *finding.evidence, finding.cause, finding.next))


def test_driver_killed(tmp_path):
    with driver_process(tmp_path / "run") as child:
        child.send_signal(signal.SIGKILL)
        child.wait()
    found = worst(of_run(tmp_path / "run", silent))
    assert (found.severity, found.culprit) == (Severity.ERROR, "driver")
    assert f"process {child.pid} on" in found.what
    assert "was killed in stage learner, at version 3 of 10, without a word" in found.what
    assert "toolrl rl" in found.next
    assert f"run.dir={tmp_path / 'run'}" in found.next


def test_driver_stopped(tmp_path):
    with driver_process(tmp_path / "run") as child:
        child.send_signal(signal.SIGSTOP)
        until(lambda: process(child.pid, before=time.time()).stopped)
        found = worst(of_run(tmp_path / "run", silent))
    assert (found.culprit, found.next) == ("driver", f"kill -CONT {child.pid}")
    assert "is stopped by a signal, in stage learner" in found.what


def test_damaged_checkpoint(tmp_path):
    run = dead(tmp_path / "run", PreemptedError("saved"))
    file = run / "checkpoints" / "version-00000003" / "global_step" / "rank_0_optim_states.pt"
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    found = worst(of_run(run, silent))
    assert (found.severity, found.culprit) == (Severity.ERROR, "checkpoint version-00000003")
    assert "rank_0_optim_states.pt was changed or cut" in told(found)
    assert "a resume goes on from version-00000002" in found.next


def test_full_disk(small_disk):
    disk = small_disk("256k")

    def train():
        with driven(disk / "run") as reporter:
            reporter.enter("checkpoint")
            with pytest.raises(OSError, match="No space left"):
                (disk / "filler").write_bytes(bytes(2**20))
            CheckpointStore(disk / "run" / "checkpoints", 2).begin(4)

    with pytest.raises((CheckpointError, OSError)):
        train()
    found = of_run(disk / "run", silent).sorted
    assert {each.culprit for each in found if each.severity is Severity.ERROR} <= {"disk", f"disk of {disk / 'run'}"}
    assert found[0].culprit == "disk"
    assert "in stage checkpoint" in found[0].what


def test_too_small_shared_memory(small_disk):
    report, shared = Report("here"), small_disk("64m")
    check_shared(report, room_of(shared), shared)
    found = worst(report)
    assert (found.severity, found.culprit) == (Severity.ERROR, "shared memory")
    assert "is too small: 64 MiB of 64 MiB free" in found.what
    assert "--shm-size" in found.next


def test_unwritable_hub_cache(tmp_path):
    (tmp_path / "file").write_text("")
    report = Report("here")
    check_machine(report, {"HF_HOME": str(tmp_path / "file")}, runs=tmp_path)
    (found,) = (each for each in report.findings if each.culprit == "hub cache")
    assert found.severity is Severity.ERROR
    assert "NotADirectoryError" in told(found)
    offline = Report("here")
    check_machine(offline, {"HF_HOME": str(tmp_path / "file"), "HF_HUB_OFFLINE": "1"}, runs=tmp_path)
    assert [each.severity for each in offline.findings if each.culprit == "hub cache"] == [Severity.NOTE]


def test_version_skew(tmp_path, monkeypatch):
    metadata = tmp_path / "torch-2.12.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.12.1\n")
    run = dead(tmp_path / "run", PreemptedError("saved"))
    monkeypatch.syspath_prepend(str(tmp_path))
    report = Report("here")
    check_stack(report, installed(), gpus=0)
    assert {each.culprit for each in report.findings} == {"torch"}
    assert "version 2.12.1, where 2.13.0 is pinned" in told(report.findings[0])
    (resumed,) = (each for each in of_run(run, silent).findings if each.culprit == "versions")
    assert "torch: the run had 2.13.0" in told(resumed)
    assert "here is 2.12.1" in told(resumed)


@pytest.fixture
def head():
    """Answers whoever asks, as Ray's head does without tokens."""

    class Anyone(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")

    server = grpc.server(ThreadPoolExecutor(1), handlers=[Anyone()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0)


def test_open_ray_cluster(head, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    report = Report("here")
    check_ray(report, {"RAY_ADDRESS": head, "RAY_TMPDIR": str(tmp_path)}, default="")
    (found,) = report.findings
    assert (found.severity, found.culprit) == (Severity.ERROR, "Ray cluster")
    assert f"{head} asks for no token" in found.what
    assert "RAY_AUTH_MODE=token" in found.next


def test_an_address_nobody_answers_at_and_a_token_others_can_read(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("x")
    report = Report("here")
    check_ray(report, {"RAY_ADDRESS": "127.0.0.1:9", "RAY_TMPDIR": str(tmp_path)}, default="")
    assert [each.culprit for each in report.sorted] == ["RAY_ADDRESS", "token of Ray"]


@pytest.mark.parametrize(
    ("error", "culprit", "words"),
    [
        (LearnerLostError("training a batch: learner-1 has died: The worker died: SIGKILL\nlearner-1: it is dead"), "learner-1", "killed"),
        (
            DeadlineError("scoring groups: no answer within 40 s (reward.deadline_s) from reward-1; raise"),
            "reward-1",
            "reward.deadline_s=MORE",
        ),
        (DeadlineError("a health check: no answer within 10 s (engine.health_timeout_s) from engine-0; raise"), "engine-0", "it hangs"),
        (LearnerLostError("step: CUDA out of memory. Tried to allocate"), "GPU memory", "toolrl plan"),
        (OSError(28, "No space left on device"), "disk", "df -h"),
        (ZeroDivisionError("division"), "toolrl", "see what it says"),
    ],
)
def test_a_dead_run_is_read_off_its_last_words(tmp_path, error, culprit, words):
    found = worst(of_run(dead(tmp_path / "run", error, "learner"), silent))
    assert (found.severity, found.culprit) == (Severity.ERROR, culprit)
    assert words in told(found)
    assert "in stage learner, at version 3 of 10" in found.what


@contextmanager
def in_progress(path, *names):
    """A run of this process, with real processes for its actors."""
    with driven(path) as reporter:
        actors = Actors(reporter)
        try:
            for name in names:
                actors.add(name)
            yield reporter, actors
        finally:
            actors.end()


def until(holds):
    """Wait until a condition holds."""
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def written(run, holds):
    """Wait until the status file says something."""
    until(lambda: (status := read_status(run)) is not None and holds(status))


def test_a_run_in_which_nothing_is_wrong(tmp_path):
    with in_progress(tmp_path / "run", "engine-0", "learner-0") as (reporter, _):
        reporter.enter("learner")
        written(tmp_path / "run", lambda status: status.stage == "learner" and all(each.pid for each in status.actors))
        report = of_run(tmp_path / "run", silent)
    assert not report.wrong, report.findings


@pytest.mark.parametrize(("how", "said"), [(signal.SIGSTOP, "is stopped by a signal"), (signal.SIGKILL, "is gone")])
@pytest.mark.parametrize("name", ["reward-1", "learner-1"])
def test_an_actor_whose_process_is_stopped_or_gone(tmp_path, name, how, said):
    with (
        in_progress(tmp_path / "run", "engine-0", "reward-1", "learner-0", "learner-1") as (reporter, actors),
        CALLS.waiting("working", [name], actors.handles(), 600, "x.timeout_s"),
    ):
        reporter.enter("learner")
        written(tmp_path / "run", lambda status: len(status.actors) == 4 and status.waits)
        actors.processes[name].send_signal(how)
        until(lambda: (own := process(actors.processes[name].pid, before=time.time())) is None or own.stopped)
        report = of_run(tmp_path / "run", silent)
    (found,) = (each for each in report.findings if each.severity is Severity.ERROR)
    assert found.culprit == name
    assert said in found.what
    assert "asked for: working" in told(found)
    assert "; it answered last " in told(found)


CORE = """
import os, sys, time
if os.fork() == 0:
    os.execv(sys.executable, ["VLLM::EngineCore", "-c", "import time; time.sleep(600)"])
time.sleep(600)
"""


def test_an_engine_core_that_is_stopped(tmp_path):
    with in_progress(tmp_path / "run") as (_, actors):
        engine = actors.add("engine-0", sys.executable, "-c", CORE)
        written(tmp_path / "run", lambda status: status.actors)
        until(lambda: [pid for pid in children(engine.pid) if process(pid, before=time.time()).command.startswith("VLLM::")])
        (core,) = children(engine.pid)
        os.kill(core, signal.SIGSTOP)
        until(lambda: process(core, before=time.time()).stopped)
        found = worst(of_run(tmp_path / "run", silent))
        os.kill(core, signal.SIGKILL)
    assert (found.culprit, found.next) == ("engine-0", f"kill -CONT {core}")
    assert f"its engine core {core} is stopped by a signal" in found.what


WORK = {"learner-0": "all_reduce", "learner-1": "my_endless_loop"}
FUNCTION = """
import pathlib, sys, time
def {0}():
    pathlib.Path(sys.argv[1]).touch()
    time.sleep(600)
{0}()
"""


def test_of_ranks_that_are_waited_for_the_one_outside_the_collective_is_named_with_its_stack(tmp_path):
    with in_progress(tmp_path / "run") as (reporter, actors):
        for name, function in WORK.items():
            actors.add(name, sys.executable, "-c", FUNCTION.format(function), str(tmp_path / name))
        until(lambda: all((tmp_path / name).exists() for name in WORK))
        with CALLS.waiting("training a batch", WORK, actors.handles(), 0.5, "learner.step_timeout_s"):
            reporter.enter("learner")
            written(tmp_path / "run", lambda status: status.waits and status.written - status.waits[0].since > 0.3)
            found = worst(of_run(tmp_path / "run", silent))
    if "no stack" in told(found):
        pytest.skip("py-spy may not look here")
    assert found.culprit == "learner-1"
    assert "my_endless_loop" in told(found)
    assert "training a batch: no answer for" in found.what
    assert "learner.step_timeout_s" in found.next


def test_an_engine_that_is_replaced_is_told_with_its_end(tmp_path):
    with in_progress(tmp_path / "run", "engine-0", "engine-1") as (reporter, actors):
        reporter.follow(Sources(engines=lambda: {"engine-0": "restarting", "engine-1": "healthy"}))
        with pytest.raises(LearnerLostError), CALLS.waiting("sampling draw 3", ["engine-0"], actors.handles(), 600, "s"):
            raise LearnerLostError("sampling draw 3: engine-0 has died: SIGKILL")
        reporter.enter("wait_generation")
        written(tmp_path / "run", lambda status: status.failures and status.actors[0].state == "restarting")
        report = of_run(tmp_path / "run", silent)
    (found,) = report.findings
    assert (found.severity, found.culprit) == (Severity.WARNING, "engine-0")
    assert found.what == "is restarting; 1 engines serve"
    assert "engine-0 has died: SIGKILL" in told(found)


def test_a_status_that_is_not_written_any_more(tmp_path, monkeypatch):
    with in_progress(tmp_path / "run", "engine-0"):
        written(tmp_path / "run", lambda status: status.actors)
        monkeypatch.setattr("toolrl.pipelines.doctoring.live.STALE_S", -1.0)
        found = worst(of_run(tmp_path / "run", silent))
    assert found.culprit == "driver"
    assert "status.json was last written" in found.what


def test_a_damaged_status_is_a_finding_and_the_rest_is_still_looked_at(tmp_path):
    run = dead(tmp_path / "run", PreemptedError("saved"))
    (run / "status.json").write_text('{"written": ')
    report = of_run(run, silent)
    assert [each.culprit for each in report.sorted] == ["status.json", "driver"]
    assert "version-00000003" in dict(report.facts)["checkpoints"]


def test_checkpoints_are_only_read(tmp_path):
    run = dead(tmp_path / "run", PreemptedError("saved"))
    (run / "checkpoints" / "version-00000003" / "COMPLETE").unlink()
    CheckpointStore(run / "checkpoints", 2)._begin("version-00000004")
    before = sorted(path for path in run.rglob("*"))
    report = of_run(run, silent)
    assert sorted(path for path in run.rglob("*")) == before
    assert "a resume goes on from version-00000002; unfinished: .tmp-version-00000004" in dict(report.facts)["checkpoints"]


def test_a_driver_that_has_just_begun_is_not_blamed_for_the_end_of_the_one_before(tmp_path):
    dead(tmp_path / "run", LearnerLostError("learner-1 has died"))
    config = load(RlConfig, ["conf/demo.yaml", f"run.dir={tmp_path / 'run'}", "run.steps=10"])
    with RunFolder(tmp_path / "run", config):
        report = of_run(tmp_path / "run", silent)
    assert not report.wrong, report.findings
    assert [each.what for each in report.findings] == [f"process {os.getpid()} on {HOST} has just begun"]


@pytest.mark.parametrize(("state", "wrong"), [("healthy", False), ("suspect", True)])
def test_a_health_check_that_came_late_once_is_only_noted(tmp_path, state, wrong):
    with in_progress(tmp_path / "run", "engine-0") as (reporter, actors):
        reporter.follow(Sources(engines=lambda: {"engine-0": state}))
        with pytest.raises(DeadlineError), CALLS.waiting("a health check", ["engine-0"], actors.handles(), 5, "engine.health_timeout_s"):
            raise DeadlineError("a health check: no answer within 5 s (engine.health_timeout_s) from engine-0; raise")
        written(tmp_path / "run", lambda status: status.failures and status.actors[0].state == state)
        report = of_run(tmp_path / "run", silent)
    assert report.wrong == wrong, report.findings
    assert {each.culprit for each in report.findings} == {"engine-0"}
