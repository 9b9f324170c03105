"""What a process of upstream's code sees of us, and that its children end with it."""

import subprocess
import sys

from toolrl.evaluation.confined import end, environment


def test_only_what_is_named_is_passed_on(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("HF_HOME", "/cache")
    assert "OPENAI_API_KEY" not in environment()
    assert "HF_HOME" not in environment()
    assert environment("HF_HOME")["HF_HOME"] == "/cache"
    assert "PATH" in environment()


def test_a_process_ends_with_its_children_and_one_that_has_ended_is_no_mistake():
    code = "import subprocess, sys; c = subprocess.Popen(['sleep', '60']); print(c.pid, flush=True); c.wait()"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    process.stdout.readline()
    end(process)
    assert process.stdout.read() == b"", "the child held the pipe too, and is gone"
    end(process)
