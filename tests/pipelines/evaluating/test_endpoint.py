"""An evaluation of an endpoint: no score before every item has its answer, and nothing that was answered is asked again."""

import json

import pytest

from toolrl.calls.render import render_completion
from toolrl.cli.main import main
from toolrl.data.demo.generate import demo_prompts
from toolrl.data.template import PromptTemplate
from toolrl.testing.endpoint import FakeEndpoint

ROWS = 20
PROMPTS = tuple(demo_prompts("heldout", ROWS, 0))
BY_REQUEST = {prompt.messages[-1].content: prompt for prompt in PROMPTS}
WRONG = {prompt.id for prompt in PROMPTS[:5]}
KEY = "sk-of-the-test"


def model(messages, seed):
    """Is right but for five prompts, to which it makes no call."""
    prompt = BY_REQUEST[messages[-1]["content"]]
    return "<think>\nhm\n</think>\n<tool_call>\n[]\n</tool_call>" if prompt.id in WRONG else render_completion(prompt.reference, "as asked")


@pytest.fixture
def evaluate(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("EVALUATED_KEY", KEY)

    def run(fake, *arguments):
        settings = (f"data.heldout=demo://heldout?rows={ROWS}", "endpoint.key_variable=EVALUATED_KEY", "prompt.template=demo")
        code = main(["evaluate", "heldout", "--model", fake.url, *settings, "--out", str(tmp_path / "out"), *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_an_endpoint_is_shown_the_prompt_of_training_and_scored_as_a_model_of_ours(evaluate, tmp_path):
    shown = []

    def rule(messages, seed):
        shown.append([(turn["role"], turn["content"]) for turn in messages])
        return model(messages, seed)

    with FakeEndpoint(rule, key=KEY) as fake:
        code, out, _ = evaluate(fake, "--json")
    assert code == 0
    content = json.loads(out)
    assert {(each["measure"], each["value"]) for each in content["estimates"]} == {("ours", 0.75), ("calls", 0.75), ("form", 1.0)}
    template = PromptTemplate.load("demo")
    wanted = sorted([(turn["role"], turn["content"]) for turn in template.render(prompt)] for prompt in PROMPTS)
    assert sorted(shown) == wanted
    assert KEY not in "".join(path.read_text(errors="replace") for path in (tmp_path / "out").rglob("*") if path.is_file())


def test_without_all_answers_there_is_no_score_and_the_next_start_asks_for_the_rest_alone(evaluate, tmp_path):
    refused = {prompt.messages[-1].content for prompt in PROMPTS[3:6]}
    refuse = lambda body: "too long" if body["messages"][-1]["content"] in refused else ""  # noqa: E731
    with FakeEndpoint(model, key=KEY, models=("fake-1",), refuse=refuse) as fake:
        code, out, err = evaluate(fake)
        assert (code, out) == (1, "")
        assert "3 of 20 items have no answer, so there is no score" in err
        assert not (tmp_path / "out" / "scores.json").exists()
        asked = len(fake.served)
        fake.refuse = lambda body: ""
        code, out, err = evaluate(fake)
        assert code == 0
        assert "17 of 20 completions are there already" in err
        assert len(fake.served) == asked + 3
        assert "75.00" in out


def test_a_replayed_folder_of_another_question_is_refused_with_the_difference(evaluate):
    with FakeEndpoint(model, key=KEY) as fake:
        assert evaluate(fake)[0] == 0
        code, _, err = evaluate(fake, "sampling.max_tokens=7")
    assert code == 2
    assert "max_tokens: it has 1024, asked is 7" in err


def test_a_wrong_key_ends_with_2_and_is_not_shown(evaluate, monkeypatch):
    with FakeEndpoint(model, key="another") as fake:
        code, _, err = evaluate(fake)
    assert code == 2
    assert "EVALUATED_KEY" in err
    assert KEY not in err
