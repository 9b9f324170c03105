"""Asking an endpoint that behaves as endpoints do, and one that is not there. The log of the fake is the other side of each story."""

import asyncio
import socket
import time
from collections import Counter

import pytest

from toolrl.config.asking import EndpointConfig
from toolrl.errors import ConfigError, ReplyError, RunError
from toolrl.rollout import endpoint as endpoints
from toolrl.rollout.endpoint import EndpointResponder
from toolrl.rollout.faults import Kind
from toolrl.rollout.replies import Ask, answer_all
from toolrl.rollout.traffic import Traffic
from toolrl.testing import endpoint as fakes
from toolrl.testing.endpoint import ANSWERED, FAULTS, IMPATIENT, LATE, LIMITED, FakeEndpoint, digest
from toolrl.types import Message, Prompt, Sampling

KEY = "sk-test-6d1f0c"
SAMPLING = Sampling(n=1, temperature=0.7, top_p=1.0, max_tokens=16)


def ask(name, sample=0, *, role="user"):
    return Ask(
        Prompt(name, "hand", (Message("user", name), *((Message(role, "21"),) if role != "user" else ())), (), ()),
        sample,
        SAMPLING,
        seed=sample,
    )


def render(prompt):
    return [{"role": turn.role, "content": turn.content} for turn in prompt.messages]


def echo(messages, seed):
    return f"{messages[0]['content']} {seed}"


class Kept(dict):
    def add(self, key, reply):
        assert key not in self
        self[key] = reply


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(endpoints, "BACKOFF_S", 0.01)


def answered(url, asks, *, resumed=False, traffic=None, **settings):
    """Ask all of `asks`; return the replies by key, and the failures."""
    config = EndpointConfig(**{"timeout_s": 60.0} | settings)
    kept = Kept()

    async def run():
        async with EndpointResponder(url, config, render=render, resumed=resumed, traffic=traffic) as responder:
            return await answer_all(asks, responder, kept, in_flight=config.in_flight)

    return kept, asyncio.run(run())


ASKS = [ask(f"p{i}", sample) for i in range(30) for sample in range(2)]


def test_every_ask_gets_its_answer_through_all_faults_and_none_is_asked_again():
    traffic = Traffic()
    with FakeEndpoint(echo, faults=0.6) as fake:
        kept, failed = answered(fake.url, ASKS, attempts=30, traffic=traffic)
        served = fake.served
    assert failed == {}
    assert {key: reply.text for key, reply in kept.items()} == {(f"p{i}", s): f"p{i} {s}" for i in range(30) for s in range(2)}
    outcomes = Counter(each.outcome for each in served)
    assert set(outcomes) == {ANSWERED, *FAULTS}, "the script met each of them"
    assert outcomes[ANSWERED] == len(ASKS)
    assert {(each.messages, each.seed) for each in served if each.outcome == ANSWERED} == {(digest(render(a.prompt)), a.seed) for a in ASKS}
    assert traffic.sent == len(served) + 1, "the models were listed"
    assert traffic.faults == {
        Kind.LOST: outcomes["dropped"] + outcomes["dropped_in_body"],
        Kind.FAILING: outcomes["error_500"] + outcomes["error_503"],
        Kind.UNREADABLE: sum(
            outcomes[name] for name in ("html", "torn_json", "no_choices", "wrong_types", "empty", "error_inside", "not_utf8")
        ),
    }


@pytest.mark.parametrize("kind", LATE)
def test_an_answer_that_is_too_late_is_not_waited_for(kind):
    traffic = Traffic()
    with FakeEndpoint(echo, faults=0.5, kinds=[kind], late_s=3.0) as fake:
        kept, failed = answered(fake.url, ASKS[:8], timeout_s=1.0, attempts=30, traffic=traffic)
    assert {key: reply.text for key, reply in kept.items()} == {a.key: f"{a.prompt.id} {a.sample}" for a in ASKS[:8]}
    assert failed == {}
    assert traffic.faults[Kind.LATE] > 0


def test_a_limit_that_nobody_told_is_run_into_and_then_kept():
    traffic = Traffic()
    with FakeEndpoint(echo, limit=40, window_s=2.0) as fake:
        kept, failed = answered(fake.url, ASKS, traffic=traffic)
        outcomes = fake.outcomes()
    assert (len(kept), failed) == (len(ASKS), {})
    assert outcomes[ANSWERED] == len(ASKS)
    assert outcomes[LIMITED] == traffic.faults[Kind.LIMITED] > 0
    assert outcomes[IMPATIENT] == 0, "nobody asks before Retry-After"
    assert traffic.held_s >= 1, "60 asks, 40 in two seconds"


def test_a_limit_that_is_told_is_never_run_into():
    with FakeEndpoint(echo, limit=60) as fake:
        kept, _ = answered(fake.url, ASKS, requests_per_minute=30 * 60)
        assert fake.outcomes() == {ANSWERED: len(ASKS)}
        first, last = fake.served[0].at_s, fake.served[-1].at_s
    assert len(kept) == len(ASKS)
    assert last - first >= (len(ASKS) - 1) / 30 - 0.1


def test_the_key_is_sent_and_where_it_is_wrong_one_message_says_what_to_set_and_not_what_it_is(monkeypatch):
    with FakeEndpoint(echo, key=KEY) as fake:
        monkeypatch.setenv("MY_KEY", f" {KEY}\n")
        assert len(answered(fake.url, ASKS[:4], key_variable="MY_KEY")[0]) == 4
        monkeypatch.setenv("MY_KEY", "sk-other")
        with pytest.raises(ConfigError, match="MY_KEY holds no key that it takes") as told:
            answered(fake.url, ASKS, key_variable="MY_KEY")
        assert "'Bearer …'" in str(told.value), "the server repeats it"
        with pytest.raises(ConfigError, match=r"the key in '' is not right\); it wants a key, and OPENAI_API_KEY is not set"):
            answered(fake.url, ASKS)
        with pytest.raises(ConfigError, match="OPENAI_API_KEY is not set"):
            answered(fake.url, ASKS, model="fake-1")
    monkeypatch.setenv("MY_KEY", "sk-a\nb")
    with pytest.raises(ConfigError, match="MY_KEY: holds characters that no key can have") as told:
        answered("http://127.0.0.1:9/v1", ASKS, key_variable="MY_KEY")
    assert "sk-a" not in str(told.value)


def test_a_key_that_an_unreadable_answer_repeats_is_hidden_even_where_its_words_are_cut(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setitem(fakes._GARBAGE, "html", f"{'.' * 70}{KEY}".encode())
    with FakeEndpoint(echo, faults=0.999, kinds=("html",)) as fake:
        _, failed = answered(fake.url, [ask("p")], attempts=1)
    assert str(failed["p", 0]).endswith(f"no JSON: {'.' * 70}…")


@pytest.mark.parametrize("model", ["", "m"])
def test_an_address_where_nobody_is_is_told_at_once(model):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = time.monotonic()
    for url in (f"http://127.0.0.1:{port}/v1", "http://no-such-host.invalid/v1"):
        with pytest.raises(ConfigError, match=r"cannot be reached .*check model.path"):
            answered(url, ASKS, model=model)
    assert time.monotonic() - start < 15


def test_the_only_model_is_found_and_of_several_one_must_be_named():
    with FakeEndpoint(echo, models=("one",)) as fake:
        assert len(answered(fake.url, ASKS[:2])[0]) == 2
        with pytest.raises(ConfigError, match=r"does not know what was asked for .*'two' does not exist"):
            answered(fake.url, ASKS, model="two")
        with pytest.raises(ConfigError, match=r"no such path.*often ends in /v1"):
            answered(fake.url + "/nowhere", ASKS, model="one")
    with FakeEndpoint(echo, models=("a", "b")) as fake:
        with pytest.raises(ConfigError, match="lists 2 models: a, b; name the one"):
            answered(fake.url, ASKS)
        assert len(answered(fake.url, ASKS[:2], model="b")[0]) == 2


def test_one_ask_that_is_refused_is_not_asked_again_and_the_others_go_on():
    def refuse(body):
        return "maximum context length is 4096" if body["messages"][0]["content"] == "p3" else ""

    with FakeEndpoint(echo, refuse=refuse) as fake:
        kept, failed = answered(fake.url, ASKS)
        refused = fake.outcomes()["refused"]
    assert set(failed) == {("p3", 0), ("p3", 1)}
    assert str(failed["p3", 0]) == "refused: HTTP 400: maximum context length is 4096"
    assert len(kept) == len(ASKS) - 2
    assert refused == 2


def test_an_endpoint_that_knows_no_seed_is_asked_without():
    with FakeEndpoint(lambda messages, seed: "x", refuse=lambda body: "unknown parameter: 'seed'" if "seed" in body else "") as fake:
        kept, failed = answered(fake.url, ASKS, in_flight=1)
        assert fake.outcomes()["refused"] == 1, "found out once"
    assert (len(kept), failed) == (len(ASKS), {})


def test_an_endpoint_that_takes_no_results_of_tools_is_shown_them_as_turns_of_the_user():
    def refuse(body):
        return "role 'tool' must follow tool_calls" if any(turn["role"] == "tool" for turn in body["messages"]) else ""

    with FakeEndpoint(lambda messages, seed: messages[-1]["content"], refuse=refuse) as fake:
        asks = [ask("a"), ask("b", role="tool"), ask("c"), ask("d", role="tool")]
        kept, failed = answered(fake.url, asks, in_flight=1)
        assert fake.outcomes()["refused"] == 1
    assert failed == {}
    assert kept["d", 0].text == "<tool_response>\n21\n</tool_response>"


def test_an_ask_that_gets_nothing_but_garbage_is_given_up_after_its_attempts():
    def rule(messages, seed):
        return "" if messages[0]["content"] == "p3" else "x"

    with FakeEndpoint(rule) as fake:
        kept, failed = answered(fake.url, ASKS, attempts=3)
        asked = sum(each.messages == digest(render(ask("p3").prompt)) for each in fake.served)
    assert set(failed) == {("p3", 0), ("p3", 1)}
    assert str(failed["p3", 1]).startswith("given up after 3 attempts, the last: unreadable answer: an empty answer")
    assert (len(kept), asked) == (len(ASKS) - 2, 6)


def test_asks_given_up_here_and_there_end_nothing():
    asks = [ask(f"{name}{i}") for i in range(12) for name in ("good", "bad")]
    with FakeEndpoint(lambda messages, seed: "x" if messages[0]["content"].startswith("good") else "") as fake:
        kept, failed = answered(fake.url, asks, attempts=2, in_flight=1)
    assert (len(kept), len(failed)) == (12, 12)


def test_an_endpoint_that_stops_answering_ends_all_and_what_was_answered_is_kept():
    kept = Kept()
    config = EndpointConfig(attempts=2, in_flight=4, timeout_s=1.0)

    async def run(fake):
        async with EndpointResponder(fake.url, config, render=render) as responder:

            def each(asked, reply):
                if len(kept) == 10:
                    fake.__exit__()

            await answer_all(ASKS, responder, kept, in_flight=4, each=each)

    fake = FakeEndpoint(echo)
    fake.__enter__()
    with pytest.raises(RunError, match="has answered none of 8 asks in a row, each given up after 2 attempts") as told:
        asyncio.run(run(fake))
    assert not isinstance(told.value, ReplyError)
    assert 10 <= len(kept) < 20


def test_an_endpoint_that_refuses_everything_from_the_start_is_not_asked_thousands_of_times():
    many = [ask("p", sample) for sample in range(100)]
    with FakeEndpoint(echo, refuse=lambda body: "temperature must be 1") as fake:
        with pytest.raises(ConfigError, match=r"refused each of the first 64 asks .*temperature must be 1"):
            answered(fake.url, many)
        assert len(answered(fake.url, many, resumed=True)[1]) == 100, "what is left of a run may all be what it refuses"
