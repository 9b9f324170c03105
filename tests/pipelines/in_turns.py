"""`toolrl`, with engines and learner taking turns on processors: the real run of a colocated one, but that the engines only lie awake.

vLLM cannot sleep on a CPU, and there is no GPU memory to hand over; everything else is real: the order of starting, the drained gate, the
learner's states out and in again around training, push, probe and checkpoint.
"""

import sys
from dataclasses import replace

from toolrl.actors.engine import EngineHandle
from toolrl.cli.main import main
from toolrl.pipelines import fleet

apart = fleet.Fleet.create


async def in_turns(config, *arguments):
    made = await apart(config, *arguments)
    return replace(made, turns=fleet._turns(config, made.engines, made.group, made.gate))


async def lie_awake(self, _):
    """In the place of sleeping and waking."""


fleet.Fleet.create = in_turns
EngineHandle.sleep = EngineHandle.wake = lie_awake

if __name__ == "__main__":
    sys.exit(main())
