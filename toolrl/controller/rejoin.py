"""Work that needs the engines, while engines come back: one that was replaced serves only after a push, and the loop is who pushes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from toolrl.controller.parts import part
from toolrl.errors import RolloutError
from toolrl.protocols import Weights

T = TypeVar("T")


async def while_serving(
    work: Coroutine[Any, Any, T], weights: Weights, publish: Callable[[], Awaitable[object]], *, given_up: asyncio.Event | None = None
) -> T | None:
    """Await `work`, and meanwhile `publish` the live version again whenever `weights` wants it; None once the work is `given_up`.

    Without it the only engine of a synchronous run could never come back: its push would wait for a batch, and the batch for the engine.
    Raises what the work or a push raises, and RolloutError where too few engines are left.
    """
    task = asyncio.create_task(work, name="work that needs the engines")
    stop = asyncio.create_task((given_up or asyncio.Event()).wait())
    try:
        while True:
            wanted = asyncio.create_task(weights.wanted())
            try:
                await asyncio.wait((task, stop, wanted), return_when=asyncio.FIRST_COMPLETED)
                if stop.done():
                    return None
                if task.done():
                    return task.result()
                with part(RolloutError, "engines, coming back"):
                    wanted.result()
            finally:
                wanted.cancel()
            await publish()
    finally:
        task.cancel()
        stop.cancel()
