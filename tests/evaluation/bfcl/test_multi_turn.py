"""Multi-turn categories: upstream's own program against a server that speaks OpenAI's chat completions."""

import json
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from served import FakeServer

from toolrl.errors import ConfigError, RunError, RunFolderError, UserError
from toolrl.evaluation.bfcl.categories import MULTI_TURN
from toolrl.evaluation.bfcl.multi_turn import Served, multi_turn
from toolrl.evaluation.bfcl.results import result_file


@pytest.fixture
def serve(environment):
    """Start a `FakeServer` that knows all entries: `with serve(spoilt=…) as server`."""

    @contextmanager
    def start(**how):
        def rows(folder):
            return [json.loads(line) for name in MULTI_TURN for line in (folder / f"BFCL_v4_{name}.json").read_text().splitlines()]

        server = FakeServer(rows(environment.data), rows(environment.data / "possible_answer"), **how)
        yield server
        server.close()

    return start


def served(server, **changes):
    return Served(**({"url": server.url, "model": "7B-Instruct v1+rl", "key": "k-123", "in_flight": 4, "max_tokens": 256} | changes))


def test_a_model_that_makes_the_right_calls_solves_each_category(serve, tmp_path):
    told = []
    with serve(spoilt=["multi_turn_miss_func_2"]) as server:
        found = multi_turn(served(server), tmp_path, limit=3, tell=told.append)
    assert found.right == {f"{name}_{i}": (name, i) != ("multi_turn_miss_func", 2) for name in MULTI_TURN for i in range(3)}
    assert found.scores["multi_turn_miss_func"] == 2 / 3
    assert found.scores["Multi-Turn"] == pytest.approx((1 + 2 / 3 + 1 + 1) / 4, abs=1e-12)
    assert "12 multi-turn entries" in told[-1]
    path, key, asked = server.requests[-1]
    assert (path, key) == ("/v1/chat/completions", "Bearer k-123")
    assert (asked["model"], asked["temperature"], asked["max_tokens"]) == ("7B-Instruct v1+rl", 0.0, 256)
    messages = [message for _, _, asked in server.requests for message in asked["messages"]]
    assert not any("reasoning" in message for message in messages)
    executed = [message["content"] for message in messages if message["role"] == "tool"]
    assert executed
    assert not any("Error during execution" in content for content in executed)
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and b"k-123" in file.read_bytes()]


def test_what_was_answered_is_kept_and_what_was_not_is_asked_again(serve, tmp_path):
    asked = {"folder": tmp_path, "categories": ["multi_turn_base"], "limit": 3}
    with serve(refused={"multi_turn_base_1": (401, "wrong key")}) as server:
        with pytest.raises(
            RunError, match=r"1 of 3 entries have no answer, multi_turn_base_1 because of openai.AuthenticationError: .*wrong key"
        ):
            multi_turn(served(server), **asked)
        file = result_file(tmp_path, "multi_turn_base")
        with file.open("a") as results:
            results.write('{"id": "multi_turn_base_1", "resu')  # killed while it wrote this
        server.refused = {"multi_turn_base_1": (400, "This model's maximum context length is 512 tokens, and 600 were given.")}
        before = len(server.requests)
        found = multi_turn(served(server), **asked)
        assert len(server.requests) == before + 1
        assert found.right == {"multi_turn_base_0": True, "multi_turn_base_1": False, "multi_turn_base_2": True}
        assert found.note == "the conversation grew longer than the model can read in 1 (multi_turn_base_1): they count as wrong;"
        with pytest.raises(RunFolderError, match=r"holds the answers to .*another"):
            multi_turn(served(server, model="another"), **asked)


def test_who_does_not_answer_is_told_before_anything_is_asked(serve, tmp_path):
    for url in ("http://127.0.0.1:9/v1", "127.0.0.1/v1"):
        with pytest.raises(UserError, match=r"no server answers there .*; start it, or mend the address"):
            multi_turn(Served(url, "m"), tmp_path / "none")
    with serve(key="another") as server, pytest.raises(UserError, match=r"refuses the key \(401\)"):
        multi_turn(served(server), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_only_multi_turn_categories_are_asked_this_way(tmp_path):
    with pytest.raises(ConfigError, match="got 'simple_python'; name any of multi_turn_base"):
        multi_turn(Served("http://127.0.0.1:1/v1", "m"), tmp_path, ["simple_python"])
