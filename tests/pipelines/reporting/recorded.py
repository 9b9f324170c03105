"""Lines of metrics with numbers that are easy to add up."""

import json


def line(version, **metrics):
    """A line of metrics; `__` stands for `/`."""
    return {"version": version, "time": 0.0, **{name.replace("__", "/"): value for name, value in metrics.items()}}


def write_lines(run, lines):
    (run / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))


LINES = (
    line(0, heldout__reward=0.25, loop__step_s=9.0),
    line(1, reward__mean=0.125, reward__reason__correct=0.125, reward__reason__wrong_value=0.875, loop__step_s=4.0, loop__learner_s=1.0,
         loop__wait_generation_s=2.0, loop__push_s=0.5, loop__eval_s=0.0, learner__loss=0.5, loop__completions=8.0),
    line(2, reward__mean=0.5, reward__reason__correct=0.5, reward__reason__no_think=0.5, loop__step_s=2.0, loop__learner_s=1.0,
         loop__wait_generation_s=0.5, loop__push_s=0.25, loop__eval_s=1.0, learner__loss=0.25, heldout__reward=0.75, loop__completions=4.0),
)  # fmt: skip
