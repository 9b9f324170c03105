"""Waiting for actors: always with a deadline, and always with a name.

An actor's own exception reaches the caller as it was raised, not wrapped in Ray's; what Ray itself raises (an actor
that died) becomes the error class of the part that waited. Of who died or is silent, the error has the last words (`lastlines`).
Whatever is waited for is told while it lasts (`progress`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from types import NoneType
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from toolrl.actors.lastlines import last_lines, reason
from toolrl.actors.progress import CALLS, Call
from toolrl.errors import DeadlineError, RunError, ToolRLError

ECHO_S = 10.0
"""Where one of several actors dies, the others may fail first, of a connection that it has left; so long its death may take to be known."""
MOST_TOLD = 3
"""Silent actors whose last lines an error has."""


async def gather(
    what: str,
    calls: Mapping[str, Awaitable[Any]],
    *,
    timeout_s: float,
    error: type[RunError],
    lost: type[RunError] | None = None,
    actors: Mapping[str, Any] | None = None,
    setting: str = "",
) -> list[Any]:
    """Return the results of `calls` (actor name -> object reference) in order.

    The first failure ends the wait; where it may be the echo of another, among actors that work together, that one is told: a death, or an
    actor's own error. `actors` (by name) lets the error say how those are that did not answer, and `setting` which deadline it was.

    Raises DeadlineError naming who did not answer, the actor's own ToolRLError, or `error` naming the actor and its exception; `lost`,
    where given, in place of both for an actor that is silent or has died. An actor that raises `lost` itself has lost the others: whoever
    of them is silent is named.
    """
    with CALLS.waiting(what, calls, actors, timeout_s, setting) if actors is not None else nullcontext() as noted:
        tasks = {asyncio.ensure_future(awaited(call)): name for name, call in calls.items()}
        if noted is not None:
            for task, name in tasks.items():
                task.add_done_callback(lambda ended, name=name: _note(noted, name, ended))  # type: ignore[misc] # binds the loop's value
        try:
            done, pending = await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_EXCEPTION)
            failed = await _failed(done, pending, lost)
            silent = sorted(name for task, name in tasks.items() if not task.done())
        finally:
            for task in tasks:
                task.cancel()
        if failed is not None and (failure := failed.exception()) is not None:
            if isinstance(failure, RayActorError):
                raise (lost or error)(await _death(what, tasks[failed], failure)) from failure
            told = translate(f"{what}: {tasks[failed]}", failure, error)
            if lost is not None and isinstance(told, lost) and silent:
                words = await _last_words(silent, actors or {})
                raise lost("\n".join([f"{told}; and no word from {', '.join(silent)}", *words])) from failure
            raise told from failure
        if pending:
            raise (lost or DeadlineError)(await _silence(what, silent, timeout_s, actors or {}, setting))
        return [task.result() for task in tasks]


def _note(call: Call, name: str, ended: asyncio.Task[Any]) -> None:
    """Note that an actor has answered, be it with an error of its own."""
    if not ended.cancelled() and isinstance(ended.exception(), NoneType | RayTaskError):
        CALLS.answered(call, name)


async def _failed(
    done: Iterable[asyncio.Task[Any]], pending: Iterable[asyncio.Task[Any]], lost: type[RunError] | None
) -> asyncio.Task[Any] | None:
    """Return the call whose failure is to be told, if one failed: an actor's own error, else a death, which may take a moment to show."""

    def explains(failed: asyncio.Task[Any]) -> bool:
        """Whether a failure is no echo of another one's."""
        failure = failed.exception()
        cause = getattr(failure, "cause", failure)
        return isinstance(failure, RayActorError) or (isinstance(cause, ToolRLError) and not (lost and isinstance(cause, lost)))

    failures = [task for task in done if task.exception() is not None]
    waiting, end = set(pending), time.monotonic() + ECHO_S
    while failures and waiting and not any(map(explains, failures)) and (left_s := end - time.monotonic()) > 0:
        more, waiting = await asyncio.wait(waiting, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        failures += [task for task in more if task.exception() is not None]
    return next(filter(explains, failures), failures[0] if failures else None)


async def _death(what: str, name: str, death: RayActorError) -> str:
    """Return the words for an actor that died."""
    lines = [f"{what}: {name} has died: {reason(death)}"]
    if death.actor_id and not death.actor_init_failed:  # else its own words are told already
        lines.append(f"{name}: {await last_lines(death.actor_id)}")
    return "\n".join(lines)


async def _silence(what: str, missing: Sequence[str], timeout_s: float, actors: Mapping[str, Any], setting: str) -> str:
    """Return the words for actors that did not answer in time."""
    deadline = f"{timeout_s:g} s ({setting})" if setting else f"{timeout_s:g} s"
    lines = [
        f"{what}: no answer within {deadline} from {', '.join(missing)}; raise {setting or 'the deadline'} if there was only too "
        "much to do, else see what it was doing"
    ]
    return "\n".join([*lines, *await _last_words(missing, actors)])


async def _last_words(missing: Sequence[str], actors: Mapping[str, Any]) -> list[str]:
    """Return how some of those are that did not answer."""
    known = [name for name in missing if name in actors][:MOST_TOLD]
    told = await asyncio.gather(*(last_lines(actors[name]) for name in known))
    return [f"{name}: {each}" for name, each in zip(known, told, strict=True)]


async def one(
    what: str, name: str, call: Awaitable[Any], *, timeout_s: float, error: type[RunError], actor: Any = None, setting: str = ""
) -> Any:
    """Return the result of one call; raises like `gather`."""
    actors = {} if actor is None else {name: actor}
    return (await gather(what, {name: call}, timeout_s=timeout_s, error=error, actors=actors, setting=setting))[0]


async def objects(what: str, references: Sequence[Any], *, timeout_s: float, error: type[RunError]) -> list[Any]:
    """Return objects from the store. Raises DeadlineError, or `error` where one is lost."""
    calls = {f"object {i}": reference for i, reference in enumerate(references)}
    return await gather(what, calls, timeout_s=timeout_s, error=error) if calls else []


def fetch(what: str, references: list[Any], *, timeout_s: float, error: type[RunError] | None = None) -> list[Any]:
    """Return objects from the store, blocking; for use inside an actor. Raises DeadlineError or RunError, or `error` for both."""
    try:
        return list(ray.get(references, timeout=timeout_s))
    except ray.exceptions.GetTimeoutError as failure:
        raise (error or DeadlineError)(f"{what}: {len(references)} objects did not arrive within {timeout_s:g} s") from failure
    except RayError as failure:
        raise translate(what, failure, error or RunError) from failure


def translate(what: str, failure: BaseException, error: type[RunError]) -> BaseException:
    """Return the exception a user should see for `failure`."""
    cause = failure.cause if isinstance(failure, RayTaskError) else failure
    if isinstance(cause, ToolRLError):
        return cause
    if not isinstance(cause, Exception):
        return failure
    return error(f"{what}: {type(cause).__name__}: {cause}")


async def awaited(call: Awaitable[Any]) -> Any:
    """Await `call`: asyncio wants a coroutine where Ray gives an object reference."""
    return await call
