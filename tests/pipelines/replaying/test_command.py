"""`toolrl replay`: a user's mistake ends with 2 and one message, before anything is started."""

import pytest

from toolrl.cli.main import main


@pytest.fixture(autouse=True)
def no_hub(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("9:0",), "sample: no 9:0 in"),
        (("nine",), "write DRAW:SAMPLE, as in 37:2"),
        (("0:0", "learner.lr=1"), "a replay has its run's settings"),
        (("0:0", "model.path=/nowhere/at/all"), "/nowhere/at/all: no tokenizer there"),
    ],
)
def test_a_mistake_is_one_message(run, capsys, arguments, message):
    folder = run()
    (folder / "prompt.template").write_text("{tools}")
    assert main(["replay", str(folder), *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert "replaying" not in err


def test_without_a_sample_the_command_says_what_it_wants(run, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["replay", str(run())])
    assert stopped.value.code == 2
    assert "the following arguments are required: DRAW:SAMPLE;" in capsys.readouterr().err
