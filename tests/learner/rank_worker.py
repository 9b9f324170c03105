"""One learner rank in a process of its own, driven over a socket by the tests: `python rank_worker.py ADDRESS RANK WORLD_SIZE PORT`.

Several LearnerRank objects may follow one another in a process; they share its process group.
"""

import sys
import traceback
from multiprocessing.connection import Client

import deepspeed
import torch.distributed as dist

from toolrl.learner import rendezvous
from toolrl.learner.rank import LearnerRank

COLLECTIVE_DEADLINE_S = 60.0


class Worker:
    def __init__(self, rank, world_size, port):
        self.place = (rank, world_size, "127.0.0.1", port)
        self.learner = None

    def make(self, *args, **kwargs):
        self.learner = LearnerRank(*args, **kwargs)
        join = rendezvous.join
        if dist.is_initialized():
            rendezvous.join = lambda *_, **__: None
        else:  # ranks that do not agree must not outlive the tests by much
            rendezvous.join = lambda *args, **kwargs: join(*args, **(kwargs | {"step_timeout_s": COLLECTIVE_DEADLINE_S}))
        self.learner.setup(*self.place)

    def weights(self):
        from toolrl.learner.export import _gathered

        return {name: tensor.float().numpy() for name, tensor in _gathered(self.learner.model).items()}

    def step_with_gradients(self, *args):
        """Train a batch; return its metrics and the whole gradient of each optimizer step, before clipping."""
        trainer, gradients = self.learner._ready, []
        update = trainer.update

        def recording():
            named = trainer.causal.named_parameters()
            gradients.append({name: deepspeed.utils.safe_get_full_grad(parameter).numpy().copy() for name, parameter in named})
            return update()

        trainer.update = recording
        try:
            return self.learner.step(*args), gradients
        finally:
            trainer.update = update

    def call(self, method, *args, **kwargs):
        return getattr(self.learner, method)(*args, **kwargs)


def main():
    address, rank, world_size, port = sys.argv[1], *map(int, sys.argv[2:])
    worker = Worker(rank, world_size, port)
    with Client(address) as connection:
        connection.send(rank)
        while True:
            method, args, kwargs = connection.recv()
            if method == "stop":
                return
            try:
                connection.send((True, getattr(worker, method)(*args, **kwargs)))
            except Exception as error:  # noqa: BLE001 - handed to the test
                error.add_note(traceback.format_exc())
                connection.send((False, error))


if __name__ == "__main__":
    main()
