"""One learner rank in a process of its own, driven over a socket by the tests: `python rank_worker.py ADDRESS RANK WORLD_SIZE PORT`.

Several LearnerRank objects may follow one another in a process; they share its process group.
"""

import json
import sys
import traceback
from collections import Counter
from contextlib import nullcontext
from multiprocessing.connection import Client
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import SimpleNamespace

import deepspeed
import torch.distributed as dist
from deepspeed.utils import groups
from torch.profiler import ProfilerActivity, profile

from toolrl.learner import logprobs, rendezvous
from toolrl.learner.rank import LearnerRank

COLLECTIVE_DEADLINE_S = 60.0


class Allocated:
    """Appends to `found` the most bytes that torch's allocator held at once inside the context, beyond what it held at its start."""

    def __init__(self, found):
        self._found = found
        self._profile = profile(activities=[ProfilerActivity.CPU], profile_memory=True)

    def __enter__(self):
        self._profile.__enter__()

    def __exit__(self, *failure):
        self._profile.__exit__(*failure)
        with NamedTemporaryFile(suffix=".json") as file:
            self._profile.export_chrome_trace(file.name)
            events = [event for event in json.loads(Path(file.name).read_text())["traceEvents"] if event.get("name") == "[memory]"]
        events.sort(key=lambda event: event["ts"])
        first = events[0]["args"]  # torch goes on counting what an earlier profile saw made, and never saw freed
        before = first["Total Allocated"] - first["Bytes"]
        self._found.append(max(event["args"]["Total Allocated"] for event in events) - before)


class Worker:
    def __init__(self, rank, world_size, port):
        self.place = (rank, world_size, "127.0.0.1", port)
        self.learner = None

    def make(self, *args, **kwargs):
        groups._ZERO_PARAM_INTRA_PARALLEL_GROUP = None  # DeepSpeed forms it once in a process, and these go on to another learner
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

    def parameters(self):
        """Every parameter as it lies, LoRA's matrices beside their bases."""
        whole = {}
        for name, parameter in self.learner.model.named_parameters():
            with deepspeed.zero.GatheredParameters([parameter]):
                whole[name] = parameter.detach().float().numpy().copy()
        return whole

    def optimizer_states(self):
        """Master weight and optimizer state of every trained parameter, whole: "name key" -> values; and the settings of each group."""
        optimizer = self.learner._trainer.engine.optimizer
        keys = ("exp_avg", "exp_avg_sq", "momentum")
        states = {}
        for group, names in enumerate(optimizer.fp16_groups):
            held = optimizer.optimizer.state[optimizer.fp32_partitioned_groups_flat[group]]
            for parameter in names:
                name = optimizer.param_names[parameter]
                states[f"{name} fp32"] = deepspeed.utils.safe_get_full_fp32_param(parameter).numpy().copy()
                states |= {
                    f"{name} {key}": deepspeed.utils.safe_get_full_optimizer_state(parameter, key).numpy().copy()
                    for key in keys
                    if key in held
                }
                states[f"{name} step"] = float(held["step"])
        settings = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.optimizer.param_groups]
        return states, settings

    def universal(self, folder, out):
        """Convert a checkpoint of DeepSpeed's by its own converter; return what `optimizer_states` does, without the settings."""
        import torch
        from deepspeed.checkpoint.ds_to_universal import main

        main(SimpleNamespace(
            input_folder=str(folder), output_folder=str(out), num_extract_workers=1, num_merge_workers=1, keep_temp_folder=False,
            strict=True, inject_missing_state=False,
        ))  # fmt: skip
        found = {}
        for file in (out / "zero").glob("*/*.pt"):
            value = torch.load(file, weights_only=False)
            found[f"{file.parent.name} {file.stem}"] = (value["param"] if isinstance(value, dict) else value).detach().numpy()
        return found

    def reference_logprobs(self, sequences, temperature):
        """What `logprobs` returns, of the reference."""
        trainer, reference = self.learner._trainer, self.learner._reference
        forward, trainer.forward = trainer.forward, reference
        if not reference.engines:  # the base of LoRA computes by the trainer itself
            reference._trainer = SimpleNamespace(causal=trainer.causal, forward=forward)
        try:
            return self.learner.logprobs(sequences, temperature)
        finally:
            trainer.forward = forward
            if not reference.engines:
                reference._trainer = trainer

    def storage_bytes(self):
        """Bytes of this rank's parameter shards, its master weights, and its reference's shards; and those parked in host memory."""
        zero = self.learner._trainer.engine.optimizer
        engines = self.learner._reference.engines if self.learner._reference else ()
        shards = [parameter.ds_tensor for parameter in self.learner.model.parameters()]
        held = (shards, zero.fp32_partitioned_groups_flat, [p.ds_tensor for engine in engines for p in engine.module.parameters()])
        return [sum(tensor.untyped_storage().nbytes() for tensor in tensors) for tensors in held], self.learner._parking.parked_bytes

    def held_bytes(self):
        """Bytes of what this rank holds between two steps, by the planner's names for it."""
        zero = self.learner._trainer.engine.optimizer
        moments = [value for state in zero.optimizer.state.values() for value in state.values() if value.ndim]
        whole = [parameter.data for parameter in self.learner.model.parameters() if parameter.ds_persist]
        held = {
            "weights": [parameter.ds_tensor for parameter in self.learner.model.parameters()],
            "master weights": zero.fp32_partitioned_groups_flat,
            "optimizer states": moments,
            "gradient sums": [zero.grad_partitions_flat_buffer],
            "gradient bucket": [bucket.buffer for bucket in zero.ipg_buckets.values()],
            "small parameters kept whole": whole,
        }
        return {name: sum(tensor.numel() * tensor.element_size() for tensor in tensors) for name, tensors in held.items()}

    def peak_bytes(self, shard, *, update):
        """Train demonstrations; return the most that torch's allocator held beyond what it held before, in the update or in all else."""
        trainer, found = self.learner._ready, []
        step = trainer.update

        def measured():
            with Allocated(found):
                return step()

        trainer.update = measured if update else lambda: (0.0, 0.0)
        try:
            with nullcontext() if update else Allocated(found):
                self.learner.sft_step(shard)
        finally:
            trainer.update = step
        if not update:
            step()
        return found[0]

    def estimate(self, parameters, largest_layer, gpus_per_node, nodes, **options):
        """Return what DeepSpeed's own estimator says: bytes of a GPU."""
        from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs

        return estimate_zero3_model_states_mem_needs(parameters, largest_layer, gpus_per_node, nodes, **options)[1]

    def step_with_gradients(self, *args, of="step"):
        """Train a batch; return its metrics and the whole gradient of each optimizer step, before clipping."""
        trainer, gradients = self.learner._ready, []
        update = trainer.update

        def recording():
            named = [(name, parameter) for name, parameter in trainer.causal.named_parameters() if parameter.requires_grad]
            gradients.append({name: deepspeed.utils.safe_get_full_grad(parameter).numpy().copy() for name, parameter in named})
            return update()

        trainer.update = recording
        try:
            return getattr(self.learner, of)(*args), gradients
        finally:
            trainer.update = update

    def states(self, algo, *args):
        """Train a batch by other rules; return metrics, trained groups, and (weights before, gradient) of each optimizer step."""
        trainer, states = self.learner._ready, []
        update = trainer.update

        def recording():
            gradients = {name: deepspeed.utils.safe_get_full_grad(p).numpy().copy() for name, p in trainer.causal.named_parameters()}
            states.append((self.weights(), gradients))
            return update()

        self.learner._policy_step._algo, trainer.update = algo, recording
        try:
            metrics, trained = self.learner.step(*args)
            return metrics, trained, states if dist.get_rank() == 0 else None
        finally:
            trainer.update = update

    def gathers(self, slice_elements, method, *args):
        """Call a method with slices of so many logits; return how often each parameter was gathered.

        Nothing is gathered ahead, and nothing stays for a later module.
        """
        coordinator = self.learner._ready._engine.optimizer.parameter_offload.get_param_coordinator()
        private = f"_{type(coordinator).__name__}__"
        vars(coordinator).update({private + "prefetch_bucket_sz": 0, private + "max_reuse_dist_in_numel": 0})
        counts = Counter()
        names = {id(parameter): name for name, parameter in self.learner.model.named_parameters()}
        gather = next(self.learner.model.parameters()).all_gather_coalesced

        def counting(params, *args, **kwargs):
            counts.update(names[id(parameter)] for parameter in params)
            return gather(params, *args, **kwargs)

        whole, logprobs.SLICE_ELEMENTS["cpu"] = logprobs.SLICE_ELEMENTS["cpu"], slice_elements
        for parameter in self.learner.model.parameters():
            parameter.all_gather_coalesced = counting
        try:
            getattr(self.learner, method)(*args)
        finally:
            logprobs.SLICE_ELEMENTS["cpu"] = whole
            for parameter in self.learner.model.parameters():
                parameter.all_gather_coalesced = gather
        return dict(counts)

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
