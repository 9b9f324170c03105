"""A user's mistake ends before anything starts: one message, exit code 2, nothing left behind."""

import pytest

from toolrl.cli.main import main
from toolrl.config.load import load
from toolrl.config.schema import RlConfig
from toolrl.monitor.rundir import RunFolder
from toolrl.pipelines.inputs import load_inputs
from toolrl.pipelines.started_from import STARTED_FROM, require_same

ROW = '{"id": "a", "messages": [{"role": "user", "content": "hi"}], "tools": [], "answer": []}\n'
TRAINED = (
    '{"id": "a", "messages": [{"role": "user", "content": "Weather in Oslo?"}], "tools": [{"name": "weather", "description": "", '
    '"parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}], "answer": [{"name": "weather", "arguments": '
    '{"city": "Oslo"}}]}\n'
)


def fails(capsys, tmp_path, *arguments):
    code = main(["rl", "conf/demo.yaml", f"run.dir={tmp_path / 'run'}", *arguments])
    err = capsys.readouterr().err
    assert code == 2
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()
    return err


def test_a_missing_file_is_named(capsys, tmp_path):
    assert "data.jsonl: no such file" in fails(capsys, tmp_path, f"data.train={tmp_path / 'data.jsonl'}")


def test_a_malformed_row_is_named_by_its_line(capsys, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text(ROW + '{"messages": 3}\n')
    assert "rows.jsonl:2: " in fails(capsys, tmp_path, f"data.train={rows}")


def test_too_few_cpus_are_a_table(capsys, tmp_path):
    err = fails(capsys, tmp_path, "cluster.num_cpus=2", "engine.num=3")
    assert "CPUs: asked 4, there 2, short 2" in err


def test_a_missing_model_is_named(capsys, tmp_path):
    assert str(tmp_path / "model") in fails(capsys, tmp_path, f"model.path={tmp_path / 'model'}")


def test_more_ranks_than_can_share_the_models_heads_are_refused(capsys, tmp_path):
    err = fails(capsys, tmp_path, "learner.num_ranks=3", "learner.sequence_parallel=3", "cluster.num_cpus=4")
    assert "learner.sequence_parallel: got 3 for a model of 4 attention heads and 2 key-value heads; choose one of 1, 2, 4" in err


def test_lora_beside_a_layer_that_is_not_there_is_refused(capsys, tmp_path):
    err = fails(capsys, tmp_path, "learner.lora_rank=8", "learner.lora_targets=q_proj,query")
    assert "learner.lora_targets: query is no linear layer of this model" in err
    assert "q_proj" in err


def test_held_out_prompts_among_the_training_prompts_are_refused(capsys, tmp_path):
    err = fails(capsys, tmp_path, "data.heldout=demo://train?rows=64")
    assert "data.heldout: 64 of 64 prompts are in data.train too" in err


def test_a_reward_of_ones_own_that_is_not_there_is_named_before_anything_is_read(capsys, tmp_path):
    err = fails(capsys, tmp_path, "reward.functions.no_such_module_here:score=1", "data.train=nowhere.jsonl")
    assert "cannot import 'no_such_module_here:score'" in err
    assert "nowhere" not in err


def test_a_reward_that_pays_for_wrong_answers_is_refused(capsys, tmp_path):
    err = fails(capsys, tmp_path, "reward.functions={format: 1}")
    assert "the audit of the reward failed" in err
    assert "another row's reference: 256 of 256 did not score less than the reference" in err


def test_rows_that_no_answer_can_satisfy_are_refused(capsys, tmp_path):
    rows = tmp_path / "rows.jsonl"
    tool = '{"name": "f", "parameters": {"properties": {"b": {"type": "string"}}}}'
    rows.write_text(ROW.replace("[]}", '[{"name": "f", "arguments": {"a": 1}}]}').replace('"tools": []', f'"tools": [{tool}]'))
    err = fails(capsys, tmp_path, f"data.train={rows}", "data.heldout=''", "reward.mode=bfcl")
    assert "as prompt a: reward 0.0, unexpected_argument at [0].arguments.a, got 1; drop or mend these rows" in err


def test_a_folder_that_holds_something_else_is_left_alone(capsys, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    assert main(["rl", "conf/demo.yaml", f"run.dir={tmp_path}"]) == 2
    assert "holds no run, but thesis.txt" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("dry", [["--dry-run"], []])
def test_a_run_does_not_go_on_from_rows_that_changed_under_their_name(capsys, tmp_path, dry):
    run, rows = tmp_path / "run", tmp_path / "rows.jsonl"
    arguments = ["rl", "conf/demo.yaml", f"run.dir={run}", f"data.train={rows}"]
    rows.write_text(TRAINED)
    config = load(RlConfig, arguments[1:])
    RunFolder(run, config, {STARTED_FROM: require_same(run, load_inputs(config).started_from)}).close()
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    rows.write_text(TRAINED.replace("Oslo", "Rome"))
    assert main([*arguments, *dry]) == 2
    err = capsys.readouterr().err
    assert f"toolrl: run.dir: {run} holds a run that was started from something else" in err
    assert "data.train: the run has prompts 1, digest" in err
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("override", ["run.steps=2", "loop.max_staleness=2"])
def test_a_dry_run_prints_the_plan_and_starts_nothing(capsys, tmp_path, override):
    assert main(["rl", "conf/demo.yaml", f"run.dir={tmp_path / 'run'}", override, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "learner-1: 0.4 CPU" in out
    assert out.endswith("everything checked; nothing was started\n")
    assert not (tmp_path / "run").exists()


def test_a_run_that_trains_on_a_benchmark_says_so(capsys, tmp_path, shared_data):
    from toolrl.data.contamination import Guard

    file = shared_data / "bfcl_v4" / "BFCL_v4_simple_python.json"
    known = Guard.shipped().items["BFCL"]
    assert known > 2000
    assert main(["rl", "conf/demo.yaml", f"run.dir={tmp_path / 'run'}", f"data.train={file}", "prompt.template=demo", "--dry-run"]) == 0
    assert "trains on prompts that stand in benchmarks: 400 of BFCL (first: simple_python_0)" in capsys.readouterr().out
