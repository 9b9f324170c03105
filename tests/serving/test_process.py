"""A server as a process: ready, watched, and gone with all it started. The server is a fake."""

import os
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from toolrl.errors import DeadlineError, RunError
from toolrl.serving.process import Server, started


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_server_is_there_for_the_body_and_leaves_no_process(tmp_path, monkeypatch, fake_vllm, make_server_settings):
    fake_vllm("family")
    monkeypatch.setenv("FAKE_CHILD", str(tmp_path / "pid"))
    settings = make_server_settings()
    with started(settings) as server:
        child = int((tmp_path / "pid").read_text())
        assert (server.url, server.model) == (settings.url, "m")
        server.require_alive()
        assert is_running(child)
    assert not is_running(child)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", settings.port)) != 0


def test_a_server_that_ends_before_it_is_ready_is_an_error_with_its_last_lines(fake_vllm, make_server_settings):
    fake_vllm("dies")
    with (
        pytest.raises(RunError, match=r"ended \(exit code 1\); its last lines:\n  fake dies\n  ValueError: no kernel"),
        started(make_server_settings()),
    ):
        pass


def test_a_server_that_is_not_ready_in_time_is_an_error_and_ended(fake_vllm, make_server_settings):
    fake_vllm("silent")
    with (
        pytest.raises(DeadlineError, match=r"not ready within engine\.start_timeout_s=2 s; its last lines:\n  fake silent"),
        started(make_server_settings(start_timeout_s=2.0)),
    ):
        pass


def test_a_server_that_ends_while_it_is_needed_is_noticed(fake_vllm, make_server_settings):
    fake_vllm("fails")
    with started(make_server_settings()) as server, pytest.raises(RunError, match="exit code 4"):
        server.wait()


def test_a_body_that_fails_ends_the_server_too(fake_vllm, make_server_settings):
    def fail():
        with started(make_server_settings()) as server:
            pids.append(server._process.pid)
            raise KeyError

    pids = []
    with pytest.raises(KeyError):
        fail()
    with pytest.raises(ProcessLookupError):
        os.killpg(pids[0], 0)


def test_a_server_is_heard_to_its_end_where_nobody_hears_us_any_more(make_server_settings):
    def tell(line):
        raise BrokenPipeError

    server = Server(make_server_settings(), SimpleNamespace(stdout=["one\n", "two\n"]))
    server._ready.set()
    server._follow(tell)
    assert list(server._last) == ["one", "two"]
