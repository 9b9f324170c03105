"""Waiting for actors: always with a deadline, and always with a name.

An actor's own exception reaches the caller as it was raised, not wrapped in Ray's; what Ray itself raises (an actor
that died) becomes the error class of the part that waited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from toolrl.errors import DeadlineError, RunError, ToolRLError


async def gather(
    what: str, calls: Mapping[str, Awaitable[Any]], *, timeout_s: float, error: type[RunError], lost: type[RunError] | None = None
) -> list[Any]:
    """Return the results of `calls` (actor name -> object reference) in order.

    The first failure ends the wait. Raises DeadlineError naming who did not answer, the actor's own ToolRLError, or
    `error` naming the actor and its exception; `lost`, where given, in place of both for an actor that is silent or has died.
    """
    tasks = {asyncio.ensure_future(awaited(call)): name for name, call in calls.items()}
    try:
        done, pending = await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
    for task in done:
        if failure := task.exception():
            kind = lost if lost is not None and isinstance(failure, RayActorError) else error
            raise translate(f"{what}: {tasks[task]}", failure, kind) from failure
    if pending:
        missing = ", ".join(sorted(tasks[task] for task in pending))
        raise (lost or DeadlineError)(
            f"{what}: no answer within {timeout_s:g} s from {missing}; look at the actor's log, or raise the deadline"
        )
    return [task.result() for task in tasks]


async def one(what: str, name: str, call: Awaitable[Any], *, timeout_s: float, error: type[RunError]) -> Any:
    """Return the result of one call; raises like `gather`."""
    return (await gather(what, {name: call}, timeout_s=timeout_s, error=error))[0]


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
