from array import array

from toolrl.data.report import page, quantiles, summary

REPORT = {
    "format": "toolrl.prepared/1",
    "settings": {"seed": 0, "tokenizer": None},
    "inputs": {"a.jsonl": 1200, "b.jsonl": 34},
    "rows_in": 1234,
    "kept": {"train": 1100, "heldout": 100},
    "dropped": {"wrong_type": {"rows": 34, "samples": [{"id": "a|1", "detail": "[0].arguments.x:\ngot 1"}]}},
    "prompt_length": {"unit": "tokens", "min": 1, "median": 2, "p95": 3, "max": 4},
}


def test_the_terminal_table_is_aligned():
    assert summary(REPORT).split("\n") == [
        "rows in                1,234  a.jsonl: 1,200, b.jsonl: 34",
        "kept                   1,200",
        "  train                1,100",
        "  heldout                100",
        "dropped                   34",
        "  wrong_type              34  e.g. a|1",
        "prompt tokens, min         1",
        "prompt tokens, median      2",
        "prompt tokens, p95         3",
        "prompt tokens, max         4",
    ]


def test_the_page_has_a_table_samples_and_settings():
    text = page(REPORT)
    assert "| rows in | 1,234 |" in text
    assert "| wrong_type | 34 | e.g. a/1 |" in text  # a bar would end the cell
    assert "- wrong_type: `a|1` [0].arguments.x: got 1\n" in text
    assert text.endswith("- seed: 0\n- tokenizer: None\n")


def test_quantiles_are_lengths_that_occur():
    assert quantiles(array("q", range(1, 101))) == {"min": 1, "median": 50, "p95": 95, "max": 100}
    assert quantiles(array("q", [10, 20])) == {"min": 10, "median": 10, "p95": 20, "max": 20}
    assert quantiles(array("q")) == {"min": 0, "median": 0, "p95": 0, "max": 0}
