"""A run in progress: which stage blocks, which actor, what its process is at.

    status.json ─ driver there, its loop turning? ─ each actor's process there, running? ─ each wait longer than it should be?
                                                                                                └─> who of them, by its stack

A process that is gone or stopped is to blame at once. A wait is long where it has taken a multiple of what its stage took before, or half
of its deadline. Processes of other machines cannot be seen from here: then whoever has not answered is named, and where it is.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from toolrl.controller.stopwatch import STAGES
from toolrl.monitor.status import ActorStatus, Failure, Status, Wait
from toolrl.pipelines.doctoring.causes import cause_of
from toolrl.pipelines.doctoring.findings import Report, ago
from toolrl.pipelines.doctoring.machine import room_of
from toolrl.pipelines.doctoring.processes import Process, children, process, stack
from toolrl.pipelines.doctoring.standing import Standing

STALE_S = 15.0
"""Age of status.json from which its driver does not write it any more."""
BEAT_S = 20.0
"""Age of the last turn of the driver's event loop from which it is blocked."""
LEAST_WAIT_S = 20.0
TIMES = 4.0
"""Times what a stage took at most of late, from which it is long."""
HALF = 0.5
RECENT = 20
"""Versions whose stages say how long one takes."""
FRESH_S = 900.0
"""Age up to which a failure that the run got over is a finding."""
MOST_STACKS = 4
MOST_LINES = 10
_COLLECTIVE = ("all_reduce", "allreduce", "all_gather", "allgather", "reduce_scatter", "broadcast", "barrier", "wait (torch/distributed")
"""In a rank's stack: it waits for the others."""
_CORE = ("EngineCore", "VLLM::", "Worker_TP")

Stack = Callable[[Process], tuple[str, ...]]


def check_live(found: Standing, report: Report, *, stack_of: Stack = stack) -> None:
    """Tell what holds up a run that somebody drives."""
    status = found.status
    if status is None:
        report.note(
            "status.json",
            "is not there",
            cause="the run has just begun, or an older toolrl drives it",
            next=f"tail {found.path}/metrics.jsonl",
        )
        return
    if status.end is not None or f"process {status.pid} on {status.host}" != found.driver:  # of a driver before this one
        report.note(
            "driver",
            f"{found.driver} has just begun",
            cause="it reads its checkpoints and inputs before anything starts",
            next=f"toolrl doctor {found.path} again in a minute",
        )
        return
    here = status.host == socket.gethostname()
    if not _driver(found, status, report, stack_of, here=here):
        return
    blamed = {actor.name for actor in status.actors if _actor(status, actor, report)}
    blamed |= _engines(status, report, blamed)
    _waits(found, status, report, blamed, stack_of)
    _failures(found, status, report, blamed)


def _driver(found: Standing, status: Status, report: Report, stack_of: Stack, *, here: bool) -> bool:
    """Whether the driver runs, and its status can be trusted."""
    now = time.time()
    driver = process(status.pid, before=status.written) if here else None
    if driver is not None and driver.stopped:
        report.error(
            "driver",
            f"process {status.pid} is {driver.how}, in stage {status.stage}",
            cause="Ctrl-Z, or kill -STOP",
            next=f"kill -CONT {status.pid}",
            evidence=[f"{driver.short}; status.json was last written {ago(now - status.written)}"],
        )
        return False
    if now - status.written > STALE_S:
        room = room_of(found.path)
        full = room is not None and room.free < 2**20
        report.error(
            "disk" if full else "driver",
            f"status.json was last written {ago(now - status.written)}, and {found.driver} holds the run",
            evidence=[f"{room.free:,} bytes are free there" if room else "its file system does not answer"],
            cause="the disk is full" if full else "its file system does not answer, or the driver's node has gone and its lock stays",
            next=f"df -h {found.path}" if full else f"ls -la {found.path}; on {status.host}: ps -o pid,stat,etime,cmd -p {status.pid}",
        )
        return False
    if status.beat is not None and now - status.beat > BEAT_S:
        report.error(
            "driver",
            f"its event loop has not turned for {now - status.beat:.0f} s, in stage {status.stage}",
            evidence=stack_of(driver) if driver else [f"it runs on {status.host}; look there"],
            cause="it is held up by its own work: a file system that does not answer, or code that does not give way",
            next=f"py-spy dump --pid {status.pid}",
        )
    return True


def _actor(status: Status, actor: ActorStatus, report: Report) -> bool:
    """Whether an actor's process is to blame as the kernel sees it."""
    if not actor.pid or actor.host != socket.gethostname() or actor.state in ("dead", "restarting"):
        return False
    doing = _doing(status, actor)
    own = process(actor.pid, before=status.written)
    if own is None:
        report.error(
            actor.name,
            f"its process {actor.pid} is gone",
            evidence=[doing],
            cause="it was killed, or ended by itself",
            next="wait a moment: the run replaces it, or says why not; dmesg -T | grep -i 'killed process'",
        )
        return True
    for pid in (own.pid, *children(own.pid)):
        each = own if pid == own.pid else process(pid, before=status.written)
        if each is not None and each.stopped:
            what = "its process" if pid == own.pid else "its engine core" if any(word in each.command for word in _CORE) else "its child"
            report.error(
                actor.name,
                f"{what} {pid} is {each.how}",
                evidence=[f"{each.short}: {each.state}", doing],
                cause="kill -STOP, a debugger, or a container that was frozen",
                next=f"kill -CONT {pid}",
            )
            return True
    return False


def _engines(status: Status, report: Report, blamed: set[str]) -> set[str]:
    """Tell of engines that do not serve; returns them."""
    told = set()
    for actor in status.actors:
        if actor.role != "engine" or actor.name in blamed or actor.state not in ("dead", "restarting", "suspect"):
            continue
        why = next((each.what for each in status.failures if actor.name in each.on or actor.name in each.what.partition("\n")[0]), "")
        tell = report.warning if actor.state == "suspect" or any(each.state == "healthy" for each in status.actors) else report.error
        tell(
            actor.name,
            f"is {actor.state}; {sum(each.state == 'healthy' for each in status.actors)} engines serve",
            evidence=[*why.splitlines()[:MOST_LINES], f"stage {status.stage}, {status.sampling} draws at the engines"],
            cause="its process died or was silent; another takes its place" if actor.state != "suspect" else "it missed a health check",
            next="wait for the replacement; it serves after the next verified push (docs/recovery.md)",
        )
        told.add(actor.name)
    return told


def _waits(found: Standing, status: Status, report: Report, blamed: set[str], stack_of: Stack) -> None:
    """Tell of waits that take too long."""
    told: set[str] = set()
    for wait in status.waits:
        waited, long_s = status.written - wait.since, _long(found, status, wait)
        if waited <= long_s or not wait.on or set(wait.on) <= told or blamed & set(wait.on):
            continue  # whoever is to blame holds up the others with it
        told |= set(wait.on)
        culprit, evidence = _who(status, wait, stack_of)
        tell = report.error if status.stage in STAGES else report.warning  # a large model takes long to load
        tell(
            culprit,
            f"{wait.what}: no answer for {waited:.0f} s from {', '.join(wait.on)}",
            evidence=[
                f"stage {status.stage} since {ago(status.written - status.since)}; deadline {wait.deadline_s:g} s ({wait.setting})",
                *evidence,
            ],
            cause="it hangs: see what it is at" if evidence else "it hangs, or its node cannot be reached",
            next=_next(status, culprit, wait),
        )


def _long(found: Standing, status: Status, wait: Wait) -> float:
    """Return from how many seconds on a wait is long."""
    half = HALF * wait.deadline_s
    if status.stage not in STAGES or wait.what.startswith("sampling"):
        return half
    before = [line.get(f"loop/{status.stage}_s") or 0.0 for line in found.lines[-RECENT:]]
    return min(half, max(LEAST_WAIT_S, TIMES * max(before))) if any(before) else half


def _who(status: Status, wait: Wait, stack_of: Stack) -> tuple[str, list[str]]:
    """Return whom to blame of those who are waited for, and what they are at."""
    stacks: dict[str, tuple[str, ...]] = {}
    where = []
    for name in wait.on:
        actor = next((each for each in status.actors if each.name == name), None)
        if actor is None or not actor.pid:
            continue
        if actor.host != socket.gethostname():
            where.append(f"{name}: process {actor.pid} on {actor.host} ({actor.node}), {_answered(status, actor)}")
        elif len(stacks) < MOST_STACKS and (own := process(actor.pid, before=status.written)) is not None:
            stacks[name] = (f"process {own.pid}, {own.how}, {_answered(status, actor)}", *stack_of(own))
    free = [name for name, frames in stacks.items() if not any(word in " ".join(frames) for word in _COLLECTIVE)]
    culprit = free[0] if len(stacks) > 1 and len(free) == 1 else ", ".join(wait.on)
    return culprit, [*where, *(f"{name}: {line}" for name, frames in stacks.items() for line in frames)]


def _next(status: Status, culprit: str, wait: Wait) -> str:
    actor = next((each for each in status.actors if each.name == culprit.split(", ")[0]), None)
    there = f"on {actor.host}: " if actor and actor.host != socket.gethostname() else ""
    look = f"{there}py-spy dump --pid {actor.pid}" if actor and actor.pid else "toolrl doctor again in a minute"
    left = max(wait.deadline_s - (status.written - wait.since), 0)
    return f"{look}\nby itself: {f'in {left:.0f} s' if left else 'at once'} its deadline ends the wait; {wait.setting or 'it'}=… moves it"


def _failures(found: Standing, status: Status, report: Report, blamed: set[str]) -> None:
    """Tell of failures that the run has got over, and of those that it is getting over now."""
    for each in status.failures:
        cause = cause_of(each.what, run=found.path, resume=found.resume)
        if set(each.on) & blamed or cause.culprit in blamed:
            continue
        fresh = status.written - each.time < FRESH_S
        tell = report.warning if fresh and not _was_late_once(status, each) else report.note
        tell(
            cause.culprit,
            f"failed {ago(status.written - each.time)}{f', {each.times} times' if each.times > 1 else ''}",
            evidence=each.what.splitlines()[:MOST_LINES],
            cause=cause.cause,
            next="the run went on by itself; look again if it comes back",
        )


def _was_late_once(status: Status, failure: Failure) -> bool:
    """Whether a failure is no more than a health check that came late, of an engine that is well."""
    well = {each.name for each in status.actors if each.state == "healthy"}
    return failure.what.startswith("a health check") and set(failure.on) <= well


def _doing(status: Status, actor: ActorStatus) -> str:
    first = next((wait for wait in status.waits if actor.name in wait.on), None)
    if first is None:
        return f"nothing is asked of it; {_answered(status, actor)}; stage {status.stage}"
    asked = f"asked for: {first.what}, {ago(status.written - first.since)} (deadline {first.deadline_s:g} s, {first.setting})"
    return f"{asked}; {_answered(status, actor)}"


def _answered(status: Status, actor: ActorStatus) -> str:
    """Return the last progress of an actor."""
    return "it has not answered yet" if actor.answered is None else f"it answered last {ago(status.written - actor.answered)}"
