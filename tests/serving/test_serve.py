"""`toolrl serve` up to the server, and with a fake in its place: mistakes, start, stop."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from toolrl.cli.main import main
from toolrl.config.asking import EvaluateConfig
from toolrl.config.serving import ServeConfig
from toolrl.pipelines.serve import free_port, ready, server_settings, serving


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent"], "absent: no such folder; name the folder of a model or of a run, a model of the Hugging Face hub, or demo://start"),
        (["."], "is no model: it lacks config.json"),
        (["demo://start", "--host", "0.0.0.0"], "can be reached from other machines, and no key is asked for; set TOOLRL_API_KEY"),
        (["demo://start", "--port", "70000"], "--port: got 70000; give a number up to 65535"),
        (["demo://start", "engine.max_model_len=9000"], "reads 8192 tokens at most; set it to 8192, or 0"),
        (["demo://start", "prompt.template=absent"], "prompt template: got 'absent'"),
        (["demo://start", "engine.thread=2", "model.dtype=int4"], "unknown setting 'engine.thread'; did you mean 'engine.threads'?"),
    ],
)
def test_a_mistake_is_one_message_before_anything_starts(capsys, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOOLRL_API_KEY", raising=False)
    assert main(["serve", *arguments]) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert out == ""


def test_a_port_that_is_taken_is_said(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "demo://start", "--port", str(port)]) == 2
    assert f"127.0.0.1:{port}: cannot be listened on (Address already in use); give another --port" in capsys.readouterr().err
    assert free_port("127.0.0.1", port) == port


def test_an_address_that_is_not_this_machines_is_said(capsys, monkeypatch):
    monkeypatch.setenv("TOOLRL_API_KEY", "k")
    assert main(["serve", "demo://start", "--host", "192.0.2.1"]) == 2
    assert "192.0.2.1:8000: cannot be listened on" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_a_key_that_no_request_can_bring_is_refused_without_being_shown(capsys, monkeypatch, key):
    monkeypatch.setenv("TOOLRL_API_KEY", key)
    assert main(["serve", "demo://start"]) == 2
    err = capsys.readouterr().err
    assert "TOOLRL_API_KEY: holds a character that no request can bring" in err
    assert key not in err


def test_settings_of_a_server_and_of_an_evaluation_say_the_same_of_an_engine():
    made = [server_settings("demo://start", config, host="127.0.0.1", port=0, name="") for config in (ServeConfig(), EvaluateConfig())]
    assert made[0].engine == made[1].engine
    assert made[0].name == "start"
    assert made[0].engine.stop_token_ids == (2,)  # <|im_end|>
    assert "toolrl_tools_compact(tools)" in made[0].chat_template


def test_other_parts_have_a_server_for_as_long_as_they_need_it(fake_vllm):
    fake_vllm("well")
    with serving("demo://start", name="mine") as server:
        assert server.model == "mine"
        assert urllib.request.urlopen(server.url.removesuffix("/v1") + "/health", timeout=5).status == 200
    with pytest.raises(OSError):
        urllib.request.urlopen(server.url.removesuffix("/v1") + "/health", timeout=5)


SERVE = "import sys, toolrl.serving.settings as s; s.MODULE = 'fake_vllm'; from toolrl.cli.main import main; sys.exit(main(sys.argv[1:]))"


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly_and_leaves_no_process(capsys, monkeypatch, tmp_path, fake_vllm, number):
    def ready_and_stopped(*args, **kwargs):
        threading.Timer(0.3, os.kill, (os.getpid(), number)).start()
        return ready(*args, **kwargs)

    fake_vllm("family")
    monkeypatch.setenv("FAKE_CHILD", str(tmp_path / "pid"))
    monkeypatch.setenv("TOOLRL_API_KEY", "s3cret")
    monkeypatch.setattr("toolrl.pipelines.serve.ready", ready_and_stopped)
    assert main(["serve", "demo://start", "--port", "0"]) == 0
    out, err = capsys.readouterr()
    assert "ready after" in out
    assert 'Bearer $TOOLRL_API_KEY"' in out
    assert 'api_key=os.environ["TOOLRL_API_KEY"]' in out
    assert "s3cret" not in out
    assert (out.splitlines()[-1], err) == ("stopped", "")
    assert not is_running(int((tmp_path / "pid").read_text()))


def test_killed_it_leaves_no_process_either(fake_vllm, tmp_path):
    environment = {**os.environ, "FAKE": "family", "FAKE_CHILD": str(tmp_path / "pid")}
    served = subprocess.Popen(
        [sys.executable, "-c", SERVE, "serve", "demo://start", "--port", "0"], env=environment, stdout=subprocess.PIPE
    )
    while b"Ctrl-C" not in (line := served.stdout.readline()):
        assert line
    child = int((tmp_path / "pid").read_text())
    assert is_running(child)
    served.kill()
    served.communicate()
    end = time.monotonic() + 20
    while is_running(child) and time.monotonic() < end:
        time.sleep(0.1)
    assert not is_running(child)


def test_a_server_that_cannot_start_ends_the_command_with_1_and_its_last_lines(capsys, fake_vllm):
    fake_vllm("dies")
    assert main(["serve", "demo://start", "--port", "0"]) == 1
    assert "ValueError: no kernel for this model" in capsys.readouterr().err
