"""The vLLM engine: samples groups, takes new weights, and answers for what it has loaded.

    sample ─────────────> Group                                       any number at once; vLLM batches them
    pause ─> (the sender's four weight-transfer calls) ─> manifest ─> reset_caches ─> commit ─> resume ─> probe
    load                                                              the weights of another checkpoint, from its files
    sleep ─> wake weights ─> … ─> wake kv_cache                       where it shares its GPU with the learner

Every token is labelled with the version committed when it was sampled. Prefixes are cached under the version too, so a request never
meets a prefix that older weights computed. Updating weights while not paused kills vLLM's core; the order above is the publisher's to keep.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vllm import SamplingParams
from vllm.config import WeightTransferConfig
from vllm.distributed.weight_transfer.base import WeightTransferInitRequest, WeightTransferUpdateRequest
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.outputs import RequestOutput
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError

from toolrl.config.schema import RlConfig
from toolrl.errors import DeadlineError, RolloutError
from toolrl.rollout.completion import completion
from toolrl.rollout.settings import EngineSettings
from toolrl.rollout.stats import EngineStats
from toolrl.types import Draw, Group, Sampling, WeightVersion
from toolrl.weights.manifest import LoadReport

PROBE_PRIORITY, DRAW_PRIORITY = 0, 1
"""Lower goes first: a probe does not wait behind the draws in flight."""


class VllmEngine:
    """One engine. All its methods run on one event loop; set `environment(settings)` before this module is imported."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self._stats = EngineStats()
        self._version = WeightVersion(0)
        self._requests = count()

    @classmethod
    def from_config(cls, config: RlConfig, model_path: str, name: str) -> VllmEngine:
        """Make the engine `name` of a run; `model_path` is the resolved `model.path`."""
        return cls(EngineSettings.from_config(config, model_path, name))

    @property
    def name(self) -> str:
        """What errors and reports call it."""
        return self.settings.name

    async def start(self) -> None:
        """Load the model and begin to serve. Takes tens of seconds."""
        self._llm: AsyncLLM = await asyncio.to_thread(
            AsyncLLM.from_engine_args, _arguments(self.settings), stat_loggers=[self._stats.logger]
        )
        self._tokenizer = self._llm.get_tokenizer()
        await self._llm.collective_rpc("watch_weights")
        await self.commit(self._version)

    async def sample(self, draw: Draw, sampling: Sampling) -> Group:
        """Sample the group of a draw. Member i is seeded with `draw.seed + i`.

        Raises:
            RolloutError: A member failed, or the engine died.
            DeadlineError: The group took longer than `engine.sample_timeout_s`.
        """
        output = await self._generate(
            draw.token_ids, sampling_params(sampling, draw.seed, self.settings.stop_token_ids), DRAW_PRIORITY, f"draw {draw.number}"
        )
        if len(output.outputs) != sampling.n:
            raise RolloutError(f"{self.name}: draw {draw.number}: asked for {sampling.n} completions, got {len(output.outputs)}")
        members = sorted(output.outputs, key=lambda member: member.index)
        return Group(draw, tuple(completion(m, seed=draw.seed + m.index, decode=self._decode) for m in members))

    async def probe(self, sequences: Sequence[NDArray[np.int32]]) -> list[NDArray[np.float32]]:
        """Return the log-probability of every token but the first of each sequence: [T - 1], nats, at temperature 1."""
        params = SamplingParams(
            max_tokens=1, temperature=0.0, prompt_logprobs=0, flat_logprobs=True, detokenize=False, output_kind=RequestOutputKind.FINAL_ONLY
        )
        outputs = await asyncio.gather(*(self._generate(ids, params, PROBE_PRIORITY, "probe") for ids in sequences))
        return [np.asarray(output.prompt_logprobs.logprobs, dtype=np.float32) for output in outputs]

    async def pause(self, *, recompute: bool) -> None:
        """Stop between two steps, keeping the requests. `recompute` drops their keys and values, to be computed again after `resume`."""
        # Not `pause_generation`: it sleeps 20 ms for outputs under way, and those have their labels from the core already.
        await self._llm.engine_core.pause_scheduler_async(mode="keep", clear_cache=recompute)
        self._stats.pause()

    async def resume(self) -> None:
        """Go on where `pause` stopped."""
        await self._llm.resume_generation()

    async def sleep(self, level: int) -> None:
        """Give the GPU's memory back, cached keys and values with it: 1 keeps the weights in host memory, 2 drops them. GPU only.

        Nothing may be in flight. The scheduler stays paused until both parts are awake again.
        """
        await self._llm.sleep(level, mode="keep")  # the default would abort a request that is there against the rule, in silence

    async def wake(self, tag: str) -> None:
        """Take the memory of `weights` or `kv_cache` again. After level 2 the weights are whatever lies there, until a push brings them."""
        await self._llm.wake_up([tag])

    async def load(self, model_path: str) -> None:
        """Take the weights of another checkpoint of the same model, as version 0. Nothing may be in flight.

        Raises:
            RolloutError: The checkpoint lacks weights of the model.
        """
        await self.pause(recompute=True)
        reports = await self._llm.collective_rpc("load_checkpoint", args=(model_path,))
        if missing := [line for report in reports for line in report]:
            raise RolloutError(f"{self.name}: {model_path} does not hold the whole model: {'; '.join(missing[:5])}")
        await self.reset_caches()
        await self.commit(WeightVersion(0))
        await self.resume()

    async def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        """Let the workers join the transfer group that `init_info` describes; an update that was never finished is closed first."""
        await self._llm.collective_rpc("abandon_update")
        await self._llm.init_weight_transfer_engine(WeightTransferInitRequest(init_info))

    async def start_weight_update(self) -> None:
        """Open the model for loading."""
        await self._llm.start_weight_update()

    async def update_weights(self, update_info: dict[str, Any]) -> None:
        """Receive and load what is sent."""
        await self._llm.update_weights(WeightTransferUpdateRequest(update_info))

    async def finish_weight_update(self) -> None:
        """Close the model for loading."""
        await self._llm.finish_weight_update()

    async def shutdown_weight_transfer_engine(self) -> None:
        """Leave the transfer group."""
        await self._llm.shutdown_weight_transfer_engine()

    async def manifest(self) -> list[LoadReport]:
        """Return what each worker was given since the last call."""
        return [LoadReport.of(self.name, plain) for plain in await self._llm.collective_rpc("take_load_report")]

    async def reset_caches(self) -> None:
        """Drop cached prefixes. Those that a kept request still holds stay, and are met by requests of their own version only."""
        await self._llm.reset_prefix_cache()

    async def commit(self, version: WeightVersion) -> None:
        """Label every token sampled from now on with `version`."""
        await self._llm.update_weight_version(str(version))
        self._version = version

    def metrics(self) -> dict[str, float]:
        """Return what the engine did since the last call, by the names of `EngineStats`."""
        return self._stats.take()

    def live(self) -> dict[str, float]:
        """Return what it is doing now and has done since it started; may be called from another thread."""
        return {**self._stats.now, **self._stats.totals(), "version": float(self._version)}

    async def health(self) -> None:
        """Return once vLLM's core has answered, which it does between two steps. Raises RolloutError where it is dead."""
        try:
            await self._llm.is_paused()
        except EngineDeadError as error:
            raise RolloutError(f"{self.name}: its core died; its own log says why") from error

    async def shutdown(self) -> None:
        """End the engine's processes."""
        llm = self._llm
        del self._llm  # its own destructor fails where it is left to the interpreter's end
        await asyncio.to_thread(llm.shutdown)

    async def _generate(self, token_ids: NDArray[np.int32], params: SamplingParams, priority: int, what: str) -> RequestOutput:
        name, timeout_s = self.name, self.settings.sample_timeout_s
        prompt = {"prompt_token_ids": token_ids.tolist(), "cache_salt": str(self._version)}
        try:
            async with asyncio.timeout(timeout_s):
                stream = self._llm.generate(prompt, params, f"{what} {next(self._requests)}", priority=priority)
                outputs = [output async for output in stream]
        except TimeoutError as error:
            raise DeadlineError(f"{name}: {what} took longer than {timeout_s:g} s") from error
        except EngineDeadError as error:
            raise RolloutError(f"{name} died during {what}; its own log says why") from error
        except Exception as error:
            raise RolloutError(f"{name}: {what} failed: {error.__cause__ or error!r}") from error
        if not outputs or not outputs[-1].finished:
            raise RolloutError(f"{name}: {what} ended without an output")
        return outputs[-1]

    def _decode(self, token_ids: Sequence[int]) -> str:
        """Decode with every special token kept: a tokenizer may call `<think>` or `<tool_call>` special, and they are what is judged."""
        text: str = self._tokenizer.decode(token_ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text


def sampling_params(sampling: Sampling, seed: int, stop_token_ids: Sequence[int] = ()) -> SamplingParams:
    """Say in vLLM's terms how to sample. Text is decoded here, once, and not by vLLM token for token."""
    if sampling.temperature == 0 and sampling.n != 1:
        raise ValueError(f"greedy completions of a prompt are all the same, got n={sampling.n}; ask for 1")
    return SamplingParams(
        n=sampling.n,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_tokens,
        stop_token_ids=list(stop_token_ids),
        seed=seed,
        logprobs=0,
        flat_logprobs=True,
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _arguments(settings: EngineSettings) -> AsyncEngineArgs:
    return AsyncEngineArgs(
        model=settings.model_path,
        dtype=settings.dtype,
        tensor_parallel_size=settings.tensor_parallel,
        # Left to itself, vLLM would start Ray workers of its own inside our actor's placement.
        distributed_executor_backend="mp" if settings.tensor_parallel > 1 else None,
        max_num_seqs=settings.max_num_seqs,
        max_model_len=settings.max_model_len,
        max_num_batched_tokens=settings.batched_tokens,
        gpu_memory_utilization=settings.gpu_memory_utilization,
        kv_cache_memory_bytes=settings.kv_cache_bytes,
        enforce_eager=settings.enforce_eager,
        enable_chunked_prefill=False,  # with a seeded request it kills the engine on CPU
        enable_prefix_caching=True,
        enable_sleep_mode=settings.sleeps,
        scheduling_policy="priority",
        generation_config="vllm",  # no sampling defaults from the model's folder
        logprobs_mode="processed_logprobs",  # under the temperature that sampled, as the learner computes them
        weight_transfer_config=WeightTransferConfig(backend=settings.weights_backend),
        worker_extension_cls="toolrl.weights.witness.Witness",
        use_tqdm_on_load=False,
        disable_log_stats=True,
    )
