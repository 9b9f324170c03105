"""Settings that differ are shown, those that agree are not."""

from toolrl.config.load import to_yaml
from toolrl.config.schema import DataConfig, LoopConfig, ModelConfig, RlConfig
from toolrl.pipelines.reporting import differences
from toolrl.pipelines.reporting.record import read_records


def test_only_what_differs_is_shown(with_metrics):
    one, two = with_metrics(name="one"), with_metrics(name="two")
    (two / "config.yaml").write_text(
        to_yaml(RlConfig(model=ModelConfig(path="m"), data=DataConfig(train="t"), loop=LoopConfig(max_staleness=2)))
    )
    records = read_records([one, two])
    assert differences.between(records) == [{"name": "loop.max_staleness", "values": ["0", "2"]}]
    assert differences.from_defaults(records[0]) == [
        {"name": "model.path", "value": "m", "default": '""'}, {"name": "data.train", "value": "t", "default": '""'},
    ]  # fmt: skip


def test_what_an_attempt_changed_is_told(with_metrics):
    attempts = (
        {"attempt": 1, "started": "then", "changed": {}, "packages": {"torch": "1"}},
        {
            "attempt": 2,
            "started": "later",
            "after": "a rank died",
            "changed": {"run.steps": {"from": 5, "to": 9}},
            "packages": {"torch": "2"},
        },
    )
    records = read_records([with_metrics(attempts=attempts, name="one"), with_metrics(name="two")])
    told = differences.attempts(records[0])
    assert told[1]["changed"] == [{"name": "run.steps", "was": "5", "now": "9"}]
    assert told[1]["after"] == "a rank died"
    assert differences.packages(records) == [{"name": "torch", "values": ["2", "–"]}]
