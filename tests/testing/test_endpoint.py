"""The fake endpoint keeps what it promises: the same misbehaviour each time, a limit that is enforced, and a log of it all."""

import json
import urllib.error
import urllib.request
from collections import Counter
from http.client import HTTPException

import pytest

from toolrl.testing.endpoint import ANSWERED, FAULTS, IMPATIENT, LIMITED, REFUSED, Answer, FakeEndpoint, digest


def post(fake, text, seed=0, model="fake-1"):
    body = {"model": model, "messages": [{"role": "user", "content": text}], "seed": seed}
    request = urllib.request.Request(f"{fake.url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()
    except (OSError, HTTPException):
        return 0, {}, b""


def test_it_answers_by_its_rule():
    with FakeEndpoint(lambda messages, seed: Answer(f"{messages[0]['content']} {seed}", "length", "hm")) as fake:
        _, _, body = post(fake, "how?", 3)
        (served,) = fake.served
    (choice,) = json.loads(body)["choices"]
    assert choice["message"] == {"role": "assistant", "content": "how? 3", "reasoning_content": "hm"}
    assert choice["finish_reason"] == "length"
    assert (served.messages, served.seed, served.outcome) == (digest([{"role": "user", "content": "how?"}]), 3, ANSWERED)


def test_the_same_script_meets_the_same_requests_with_the_same_faults():
    def outcomes(script):
        with FakeEndpoint(lambda messages, seed: "x", faults=0.9, script=script) as fake:
            for i in range(40):
                for _ in range(3):
                    post(fake, f"p{i}")
            return [each.outcome for each in fake.served]

    first = outcomes(0)
    assert outcomes(0) == first != outcomes(1)
    assert set(first) == {ANSWERED, *FAULTS}
    assert Counter(first)[ANSWERED] == pytest.approx(12, abs=9)


def test_the_limit_is_enforced_and_whoever_does_not_wait_is_noticed(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    fake = FakeEndpoint(lambda messages, seed: "x", limit=2, window_s=10.0)
    body = {"model": "fake-1", "messages": []}
    found = []
    for at in (100.0, 101.0, 102.0, 102.1, 105.0, 110.9, 111.0):  # told at 102 to wait until 110; 100 leaves the window then
        now[0] = at
        found.append(fake.meet(body)[0])
    assert found == [ANSWERED, ANSWERED, LIMITED, LIMITED, IMPATIENT, ANSWERED, ANSWERED]
    now[0] = 111.5
    assert fake.meet(body) == (LIMITED, 10.0)  # until 110.9 leaves: 9.4 s, in whole seconds


def test_an_unknown_model_and_what_it_is_told_to_refuse_are_refused():
    with FakeEndpoint(lambda messages, seed: "x", refuse=lambda body: "no" if body["seed"] else "") as fake:
        assert post(fake, "p", model="other")[0] == 404
        assert post(fake, "p", seed=1)[::2] == (400, b'{"error": {"message": "no"}}')
        assert fake.outcomes() == {REFUSED: 2}
