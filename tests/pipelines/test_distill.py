"""`toolrl distill` against an endpoint on this machine that is as bad as real ones: its log is the other side of each story."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from toolrl.cli.main import main
from toolrl.data.chat_row import chat_row
from toolrl.data.demonstrations import load_demonstrations
from toolrl.data.jsontext import dumps
from toolrl.data.source import load_prompts
from toolrl.data.template import PromptTemplate
from toolrl.pipelines.distilling.candidates import seed_of
from toolrl.rollout import endpoint as endpoints
from toolrl.rollout.chat import MAX_SEED
from toolrl.testing.endpoint import ANSWERED, IMPATIENT, LIMITED, FakeEndpoint, digest
from toolrl.testing.teacher import Teacher

DATA = "demo://train?rows=60"
PROMPTS = load_prompts(DATA)
RENDER = PromptTemplate.load("tool_n1").render
TEACHER = Teacher(PROMPTS, RENDER, right=0.5)
KEY = "sk-secret-4f0e9b"
BY_DIGEST = {digest(RENDER(prompt)): prompt for prompt in PROMPTS}


@pytest.fixture(autouse=True)
def _quick_and_without_a_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(endpoints, "BACKOFF_S", 0.01)


def command(fake, folder, *words):
    return ["distill", f"model.path={fake.url}", f"data.train={DATA}", f"run.dir={folder}", "sampling.n=3", "endpoint.timeout_s=60", *words]


def distill(fake, folder, *words):
    return main(command(fake, folder, *words))


def seed(prompt, sample):
    return seed_of(0, prompt.id, sample) % MAX_SEED


def right(prompt, samples=3):
    """The right samples of a prompt, by the teacher's own word."""
    return [sample for sample in range(samples) if TEACHER.is_right(prompt, seed(prompt, sample))]


def shortest(prompt):
    return min(right(prompt), key=lambda sample: (len(TEACHER.answer(prompt, seed(prompt, sample)).text), sample))


def rows(folder):
    return [json.loads(line) for line in (folder / "demonstrations.jsonl").read_text().splitlines()]


def replies(folder):
    _, *lines = (folder / "replies.jsonl").read_text().splitlines()
    return [(row["id"], row["sample"]) for row in map(json.loads, lines)]


def asked(fake):
    """How often each (prompt id, seed) was answered, by the fake's log."""
    return Counter((BY_DIGEST[each.messages].id, each.seed) for each in fake.served if each.outcome == ANSWERED)


WANTED = {(prompt.id, seed(prompt, sample)) for prompt in PROMPTS for sample in range(3)}


def test_it_finishes_through_limits_drops_and_garbage_and_nothing_is_lost_or_doubled(tmp_path, capsys):
    with FakeEndpoint(TEACHER, faults=0.3, limit=120, window_s=2.0) as fake:
        assert distill(fake, tmp_path / "d", "endpoint.attempts=20") == 0
        outcomes = fake.outcomes()
        assert asked(fake) == dict.fromkeys(WANTED, 1), "each answered once, and only what is wanted"
    assert sorted(replies(tmp_path / "d")) == sorted((prompt.id, sample) for prompt in PROMPTS for sample in range(3))
    assert outcomes[LIMITED] > 0
    assert outcomes[IMPATIENT] == 0
    assert [(row["id"], row["sample"]) for row in rows(tmp_path / "d")] == [(p.id, shortest(p)) for p in PROMPTS if right(p)]
    told = capsys.readouterr()
    assert f"kept {sum(bool(right(p)) for p in PROMPTS)} of 60 prompts" in told.out
    assert f"over the limit {outcomes[LIMITED]}" in told.out
    assert "180 of 180 asked" in told.err


def test_killed_at_any_moment_it_goes_on_and_writes_what_it_would_have_written(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    with FakeEndpoint(TEACHER, faults=0.2) as fake:
        assert distill(fake, whole) == 0
    with FakeEndpoint(TEACHER, faults=0.2, script=1) as fake:
        words = command(fake, killed, "endpoint.in_flight=4", "endpoint.requests_per_minute=3000")
        for kill_at in (30, 110):
            process = subprocess.Popen([sys.executable, "-m", "toolrl", *words], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            while fake.outcomes()[ANSWERED] < kill_at:
                assert process.poll() is None, "it ended before it was killed"
                time.sleep(0.002)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            there = replies(killed)
            assert kill_at - 4 <= len(there) == len(set(there)), "no more is lost than was on its way"
            assert not (killed / "demonstrations.jsonl").exists()
        assert distill(fake, killed) == 0
        times = asked(fake)
    assert len(replies(killed)) == len(set(replies(killed))) == 180
    assert set(times) == WANTED
    assert sum(times.values()) - 180 <= 2 * 4, "only what was on its way at a kill is answered twice"
    assert (killed / "demonstrations.jsonl").read_bytes() == (whole / "demonstrations.jsonl").read_bytes()
    assert (killed / "demonstrations.jsonl").stat().st_size > 0


def test_with_first_nothing_is_asked_after_a_right_sample_and_first_samples_come_first(tmp_path):
    with FakeEndpoint(TEACHER) as fake:
        assert distill(fake, tmp_path / "d", "data.keep=first", "endpoint.in_flight=1") == 0
        served = [(BY_DIGEST[each.messages].id, each.seed) for each in fake.served]
    needed = {p.id: min(right(p), default=2) + 1 for p in PROMPTS}
    assert sorted(replies(tmp_path / "d")) == sorted((name, sample) for name, number in needed.items() for sample in range(number))
    assert served[:60] == [(prompt.id, seed(prompt, 0)) for prompt in PROMPTS]
    assert [(row["id"], row["sample"]) for row in rows(tmp_path / "d")] == [(p.id, right(p)[0]) for p in PROMPTS if right(p)]


def test_first_after_a_kill_asks_no_more_than_it_would_have(tmp_path):
    with FakeEndpoint(TEACHER) as fake:
        assert distill(fake, tmp_path / "a", "data.keep=first") == 0
        assert distill(fake, tmp_path / "b", "data.keep=first") == 0
        head, *lines = (tmp_path / "b" / "replies.jsonl").read_text().splitlines(keepends=True)
        (tmp_path / "b" / "replies.jsonl").write_text("".join([head, *lines[::2]])[:-9])
        assert distill(fake, tmp_path / "b", "data.keep=first") == 0
    assert sorted(replies(tmp_path / "b")) == sorted(replies(tmp_path / "a"))
    assert rows(tmp_path / "b") == rows(tmp_path / "a")


def test_what_is_written_is_read_by_sft_and_by_rl_as_the_prompts_that_were_asked(tmp_path):
    with FakeEndpoint(TEACHER) as fake:
        assert distill(fake, tmp_path / "one") == 0
        assert distill(fake, tmp_path / "all", "data.keep=all") == 0
    file = str(tmp_path / "one" / "demonstrations.jsonl")
    kept = [prompt for prompt in PROMPTS if right(prompt)]
    assert list(load_prompts(file)) == kept
    assert list(load_demonstrations(file)) == [(p, TEACHER.answer(p, seed(p, shortest(p))).text) for p in kept]
    found = load_demonstrations(str(tmp_path / "all" / "demonstrations.jsonl"))
    assert [text for _, text in found] == [TEACHER.answer(p, seed(p, sample)).text for p in PROMPTS for sample in right(p)]
    assert len(load_prompts(str(tmp_path / "all" / "demonstrations.jsonl"))) == len(found), "ids of rows are unique"


def test_one_that_has_ended_is_not_asked_again_and_more_is_asked_into_the_same_folder(tmp_path, capsys):
    with FakeEndpoint(TEACHER) as fake:
        assert distill(fake, tmp_path / "d", "data.limit=20", "sampling.n=1") == 0
        assert sum(asked(fake).values()) == 20
        before = (tmp_path / "d" / "report.json").read_bytes()
        assert distill(fake, tmp_path / "d", "data.limit=20", "sampling.n=1") == 0
        assert sum(asked(fake).values()) == 20
        assert (tmp_path / "d" / "report.json").read_bytes() == before
        assert distill(fake, tmp_path / "d") == 0
        assert asked(fake) == dict.fromkeys(WANTED, 1)
    capsys.readouterr()
    assert distill(fake, tmp_path / "d", "data.keep=all") == 0, "nobody is there any more, and nobody needs to be"
    assert len(rows(tmp_path / "d")) == sum(len(right(prompt)) for prompt in PROMPTS)
    assert main(["distill", f"model.path={fake.url}", f"data.train={DATA}", f"run.dir={tmp_path / 'd'}", "sampling.n=3", "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["demonstrations"] == report["prompts_right"] == sum(bool(right(prompt)) for prompt in PROMPTS)


def test_a_mended_answer_is_judged_by_though_nobody_is_asked_any_more(tmp_path):
    data, few = tmp_path / "rows.jsonl", [prompt for prompt in PROMPTS if right(prompt)][:3]
    data.write_text("".join(dumps(chat_row(prompt)) + "\n" for prompt in few))
    with FakeEndpoint(TEACHER) as fake:
        assert distill(fake, tmp_path / "d", f"data.train={data}", "reward.audit_rows=0") == 0
    assert [row["id"] for row in rows(tmp_path / "d")] == [prompt.id for prompt in few]
    data.write_text("".join(dumps(chat_row(prompt) | ({"answer": []} if prompt is few[1] else {})) + "\n" for prompt in few))
    assert distill(fake, tmp_path / "d", f"data.train={data}", "reward.audit_rows=0") == 0
    assert [row["id"] for row in rows(tmp_path / "d")] == [few[0].id, few[2].id]
    assert json.loads((tmp_path / "d" / "report.json").read_text())["demonstrations"] == 2


@pytest.mark.parametrize(
    "word", ["sampling.temperature=1", "run.seed=1", "prompt.template=demo", "data.train=demo://train?rows=50", "sampling.max_tokens=9"]
)
def test_another_question_is_refused_with_the_difference_and_nothing_is_changed(tmp_path, capsys, word):
    with FakeEndpoint(TEACHER) as fake:
        assert distill(fake, tmp_path / "d", "data.limit=3") == 0
        before = {path.name: path.read_bytes() for path in (tmp_path / "d").iterdir()}
        capsys.readouterr()
        assert distill(fake, tmp_path / "d", "data.limit=3", word) == 2
    err = capsys.readouterr().err
    assert "holds replies to something else (" in err
    assert "it has" in err
    assert {path.name: path.read_bytes() for path in (tmp_path / "d").iterdir()} == before


def test_an_ask_without_an_answer_is_told_and_asked_again_by_the_next_start(tmp_path, capsys):
    lost = RENDER(PROMPTS[7])
    refuses = [lost]
    with FakeEndpoint(TEACHER, refuse=lambda body: "maximum context length is 12" if body["messages"] in refuses else "") as fake:
        assert distill(fake, tmp_path / "d") == 0
        out = capsys.readouterr().out
        assert "warning: 3 asks have no answer; the same command asks them again" in out
        assert "3  refused: HTTP 400: maximum context length is 12" in out
        report = json.loads((tmp_path / "d" / "report.json").read_text())
        assert [(each["id"], each["sample"]) for each in report["failed"]] == [(PROMPTS[7].id, sample) for sample in range(3)]
        assert report["samples"] == 177
        refuses.clear()
        assert distill(fake, tmp_path / "d") == 0
        assert asked(fake) == dict.fromkeys(WANTED, 1)
    assert "warning" not in capsys.readouterr().out


def test_where_nobody_has_an_answer_it_fails(tmp_path, capsys):
    with FakeEndpoint(TEACHER, refuse=lambda body: "temperature must be 1") as fake:
        assert distill(fake, tmp_path / "d", "data.limit=5") == 1
    assert "none of 15 asks was answered; the first: refused: HTTP 400: temperature must be 1" in capsys.readouterr().err


def test_the_key_is_in_no_file_and_no_message(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("TEACHER_KEY", KEY)
    with FakeEndpoint(TEACHER, key=KEY, faults=0.3) as fake:
        assert distill(fake, tmp_path / "d", "endpoint.key_variable=TEACHER_KEY") == 0
    with FakeEndpoint(TEACHER, key="another") as fake:
        assert distill(fake, tmp_path / "e", "endpoint.key_variable=TEACHER_KEY") == 2
    out, err = capfd.readouterr()
    assert "TEACHER_KEY holds no key that it takes" in err
    assert KEY not in out + err
    assert all(KEY.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["model.path=http://127.0.0.1:9/v1"], "cannot be reached"),
        (["model.path=http://user:word@127.0.0.1:9/v1"], "model.path: holds a user name, a password or a query"),
        (["model.path=http://"], "model.path: got 'http://'"),
        (["data.kep=all"], "unknown setting 'data.kep'; did you mean 'data.keep'?"),
        (["data.keep=best"], "data.keep: got 'best'; choose one of shortest, first, all"),
        (["sampling.temperature=0"], "sampling.n: got 3 at temperature 0"),
        (["data.train=nowhere.jsonl"], "nowhere.jsonl: no such file"),
        (["data.subset=50-40"], "data.subset: got '50-40'"),
        (["prompt.template=nowhere"], "prompt template: got 'nowhere'"),
        (["reward.functions={no_such: 1}"], "unknown function 'no_such'"),
        (["endpoint.model=fake-2"], "'fake-2' does not exist"),
    ],
)
def test_a_mistake_ends_with_one_message_and_no_folder(tmp_path, capsys, words, told):
    with FakeEndpoint(TEACHER) as fake:
        assert distill(fake, tmp_path / "a" / "d", *words) == 2
    out, err = capsys.readouterr()
    assert told in err
    assert "Traceback" not in out + err
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    with FakeEndpoint(TEACHER) as fake:
        assert distill(fake, tmp_path) == 2
        assert fake.served == []
    assert "holds no distillation, but mine.txt; name another folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_dry_run_checks_all_and_asks_nobody(tmp_path, capsys):
    with FakeEndpoint(TEACHER) as fake:
        assert distill(fake, tmp_path / "d", "data.subset=0-50", "--dry-run") == 0
        assert fake.served == []
    out = capsys.readouterr().out
    assert "prompts: 30 of 60, up to 3 samples each" in out
    assert f"model: fake-1 at {fake.url}" in out
    assert out.endswith("everything checked; nobody was asked\n")
    assert not (tmp_path / "d").exists()


def test_a_function_of_the_users_may_refuse_what_the_mode_accepts_and_a_late_one_ends_nothing(tmp_path, monkeypatch):
    (tmp_path / "brief.py").write_text(
        "import time\n"
        "def brief(prompt, text):\n"
        "    if text.count('so') > 38:\n"
        "        time.sleep(9)\n"
        "    return float(text.count('so') < 10)\n"
    )
    monkeypatch.chdir(tmp_path)
    words = ("reward.functions={brief:brief: 1}", "reward.deadline_s=0.5", "reward.audit_rows=0", "data.keep=all")
    with FakeEndpoint(TEACHER) as fake:
        assert distill(fake, tmp_path / "d", *words) == 0
    texts = [TEACHER.answer(p, seed(p, sample)).text for p in PROMPTS for sample in right(p)]
    assert [row["completion"] for row in rows(tmp_path / "d")] == [text for text in texts if text.count("so") < 10]
    assert json.loads((tmp_path / "d" / "report.json").read_text())["reasons"]["verifier_timeout"] > 0
