"""Asking a model for completions, whoever it is: what `toolrl evaluate` and `toolrl distill` share.

    settings ─ asked_model ─> AskedModel ─ answer(asks) ─> journal          our engines, in a stage of the session
                                                       └─> or an endpoint   with its key from the environment

An engine that is kept warm is given the weights of the model first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from toolrl.actors.placement import engine_bundles
from toolrl.actors.pool import EnginePool
from toolrl.actors.responder import EngineResponder
from toolrl.actors.session import Session
from toolrl.config.asking import DistillConfig, EvaluateConfig
from toolrl.data.template import PromptTemplate
from toolrl.data.tokenizer import ChatTokenizer
from toolrl.errors import ReplyError
from toolrl.pipelines.inputs import resolve_model
from toolrl.rollout.journal import asked_in
from toolrl.rollout.replies import Ask, Each, Key, Replies, answer_all
from toolrl.rollout.settings import EngineSettings
from toolrl.rollout.traffic import Traffic
from toolrl.types import Sampling
from toolrl.weights.gate import Gate
from toolrl.weights.membership import Membership

Asking = DistillConfig | EvaluateConfig
Config = TypeVar("Config", DistillConfig, EvaluateConfig)
ENDPOINT_MODEL = "endpoint_model"


@dataclass(frozen=True)
class AskedModel:
    """A model that can be asked, checked."""

    path: str
    """Folder or hub name; or the endpoint's URL."""
    template: PromptTemplate
    tokenizer: ChatTokenizer | None
    """None: an endpoint, which has its own."""

    def identity(self) -> dict[str, Any]:
        """Return what tells it from another model: a journal of replies is of one."""
        return {"model": self.path, "weights": _weights(Path(self.path)), "template": self.template.source}


def asked_model(config: Asking) -> AskedModel:
    """Check the model that `config` names. Raises UserError kin."""
    if config.model.is_endpoint:
        return AskedModel(config.model.path, PromptTemplate.load(config.prompt.template), None)
    path = resolve_model(config.model.path)
    template = PromptTemplate.load(config.prompt.template, model_path=path)
    return AskedModel(path, template, ChatTokenizer(path, template.chat))


def with_model_name(config: Config, journal: Path) -> Config:
    """Return settings that name the endpoint's model: the one that `journal` is of, else the only one that is listed. Raises UserError.

    So a journal is of one model, and what is answered already can be read where the endpoint is no longer up.
    """
    if not config.model.is_endpoint or config.endpoint.model:
        return config
    before = asked_in(journal)
    name = before.get(ENDPOINT_MODEL, "") if before.get("model") == config.model.path else ""
    return replace(config, endpoint=replace(config.endpoint, model=name or asyncio.run(_only_model(config))))


async def _only_model(config: Asking) -> str:
    from toolrl.rollout.endpoint import EndpointResponder  # see below

    async with EndpointResponder(config.model.path, config.endpoint, render=lambda prompt: ()) as responder:
        return responder.model


def sampling_of(config: Asking) -> Sampling:
    """Return how one completion is sampled."""
    section = config.sampling
    return Sampling(n=1, temperature=section.temperature, top_p=section.top_p, max_tokens=section.max_tokens)


def answer(
    config: Asking,
    model: AskedModel,
    asks: Iterable[Ask],
    replies: Replies,
    session: Session,
    *,
    each: Each | None = None,
    traffic: Traffic | None = None,
) -> dict[Key, ReplyError]:
    """Answer what `replies` does not hold yet; returns those that have no answer. Raises RunError, or UserError kin."""
    wanted = [ask for ask in asks if ask.key not in replies]
    if not wanted:
        return {}
    if model.tokenizer is None:
        return asyncio.run(_from_endpoint(config, model, wanted, replies, each, traffic))
    return _from_engines(config, model, model.tokenizer, wanted, replies, session, each)


async def _from_endpoint(
    config: Asking, model: AskedModel, asks: list[Ask], replies: Replies, each: Each | None, traffic: Traffic | None
) -> dict[Key, ReplyError]:
    from toolrl.rollout.endpoint import EndpointResponder  # the client is slow to import, and engines do not need it

    settings, resumed = config.endpoint, len(replies) > 0
    async with EndpointResponder(model.path, settings, render=model.template.render, traffic=traffic, resumed=resumed) as responder:
        return await answer_all(asks, responder, replies, in_flight=config.endpoint.in_flight, each=each)


def _from_engines(
    config: Asking, model: AskedModel, tokenizer: ChatTokenizer, asks: list[Ask], replies: Replies, session: Session, each: Each | None
) -> dict[Key, ReplyError]:
    names = [f"engine-{i}" for i in range(config.engine.num)]
    settings = [replace(EngineSettings.from_config(config, model.path, n), stop_token_ids=tokenizer.stop_ids) for n in names]

    async def ask() -> dict[Key, ReplyError]:
        engines = stage.engines(settings, config.engine, timeout_s=config.engine.sample_timeout_s)
        warm = [engine for engine in engines if engine.started]
        gate = Gate()
        pool = EnginePool(engines, Membership(engines), gate)
        await pool.start(timeout_s=config.engine.start_timeout_s)
        await asyncio.gather(*(engine.load(model.path) for engine in warm))
        pool.serve_as_loaded()
        gate.open()
        responder = EngineResponder(
            pool,
            lambda prompt: tokenizer.encode_prompt(prompt, model.template),
            max_model_len=config.engine.max_model_len,
            timeout_s=config.engine.sample_timeout_s,
        )
        return await answer_all(asks, responder, replies, in_flight=len(asks), each=each)

    with session.stage(config.cluster, engine_bundles(config)) as stage:
        return asyncio.run(ask())


def _weights(folder: Path) -> str:
    """Return what tells the weights in a folder from others: names, sizes and times of its files are cheap, and change with them."""
    files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    told = [f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files]
    return blake2b("\n".join(told).encode(), digest_size=8).hexdigest() if told else ""


def asked_of(config: Asking, model: AskedModel, prompts: str) -> Mapping[str, Any]:
    """Return what determines the replies to `prompts`, a digest: the first line of their journal."""
    sampling = sampling_of(config)
    settings = {"temperature": sampling.temperature, "top_p": sampling.top_p, "max_tokens": sampling.max_tokens, "seed": config.run.seed}
    return {**model.identity(), **settings, ENDPOINT_MODEL: config.endpoint.model, "prompts": prompts}
