import html
import json
from array import array
from html.parser import HTMLParser

import pytest

from toolrl.data.augment import KINDS as AUGMENTED_KINDS
from toolrl.data.filters import REASONS
from toolrl.data.readings import KINDS as REPAIRED_KINDS
from toolrl.data.report import MAX_COLUMNS, page, quantiles, summary
from toolrl.data.report_words import AUGMENTED, DROPPED, REPAIRED

TABLE = [  # the paper's figures, in the order in which rows may come
    {"source": "ToolACE", "turns": "multi", "raw": 800, "kept": 1470},
    {"source": "xLAM", "turns": "single", "raw": 60000, "kept": 60000},
    {"source": "ToolACE", "turns": "single", "raw": 10500, "kept": 8183},
]
REPORT = {
    "format": "toolrl.prepared/2",
    "settings": {"tokenizer": None, "template": "", "seed": 0, "skip_unreadable": False, "no_call": "drop", "drop_tools": 0.15},
    "inputs": {"hub/xlam": 60000, "my rows.jsonl": 11300},
    "table": TABLE,
    "rows_in": 71300,
    "prompts_in": 72000,
    "kept": {"train": 62687, "heldout": 6966},
    "dropped": {
        "wrong_type": {"rows": 2000, "samples": [{"id": "a|1", "detail": "[0].arguments.x: type \"integer\", got 10.5"}]},
        "too_long": {"rows": 347, "samples": [{"id": "b", "detail": "5000 tokens, at most 4096"}]},
    },
    "repaired": {"quoted_number": {"rows": 150, "samples": [{"id": "c", "detail": '[0].arguments.page: "1" -> 1'}]}},
    "augmented": {"drop_tools": 9000},
    "contamination": {
        "removed": True,
        "benchmarks": {"BFCL": {"items": 3641, "hits": 3}, "ACEBench": {"items": 973, "hits": 0}},
        "samples": [{"id": "d", "benchmark": "BFCL", "match": "request and tools"}],
    },
    "prompt_length": {"unit": "tokens", "min": 9, "median": 99, "p95": 499, "max": 999},
}  # fmt: skip
NOTHING = {"dropped": {}, "repaired": {}, "augmented": {}, "table": [], "inputs": {}, "settings": {}}
EMPTY = (
    REPORT
    | NOTHING
    | {"rows_in": 0, "prompts_in": 0, "kept": {"train": 0, "heldout": 0}}
    | {"contamination": {"removed": True, "benchmarks": {}, "samples": []}}
    | {"prompt_length": {"unit": "characters", "min": 0, "median": 0, "p95": 0, "max": 0}}
)


class Reader(HTMLParser):
    """What a browser makes of a page: its elements, its text, and the text of each element of a kind."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text, self.style, self._open = [], [], "", "", []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if "style" in self._open:
            self.style += data
        else:
            self.text += " " + data


def read(report):
    reader = Reader(page(report))
    reader.text = " ".join(reader.text.split())
    return reader


def test_the_terminal_shows_the_papers_table_and_what_became_of_the_rest():
    assert summary(REPORT).split("\n") == [
        "                      ToolACE     ToolACE         xLAM   total",
        "                  single-turn  multi-turn  single-turn",
        "raw                    10,500         800       60,000  71,300",
        "after processing        8,183       1,470       60,000  69,653",
        "",
        "71,300 rows, 72,000 prompts",
        "kept                   69,653  62,687 train, 6,966 held out",
        "dropped                 2,347",
        "  wrong type            2,000  e.g. a|1",
        "  too long                347  e.g. b",
        "repaired                  150",
        "  quoted number           150  e.g. c",
        "augmented: drop tools   9,000",
        "in BFCL                     3  removed; 3,641 items known",
        "in ACEBench                 0  clean; 973 items known",
        "prompt tokens              99  median; 499 at 95%, 999 at most",
    ]


def test_many_sources_have_a_line_each():
    table = [{"source": f"source {n} {'x' * 50}", "turns": "single", "raw": 10, "kept": n} for n in range(MAX_COLUMNS + 1)]
    lines = summary(REPORT | {"table": table}).split("\n")
    assert lines[0] == f"{'':40}               raw  after processing"
    assert lines[1] == f"source 0 {'x' * 30}…  single-turn   10                 0"
    assert lines[MAX_COLUMNS + 2] == f"{'total':40}                70                21"
    assert "source 6 " + "x" * 50 in read(REPORT | {"table": table}).text


@pytest.mark.parametrize(("fingerprints", "said"), [([], ""), (["a b", "c"], " \\\n  --fingerprints 'a b' \\\n  --fingerprints c")])
def test_the_command_on_the_page_names_each_file_of_fingerprints(fingerprints, said):
    settings = {"seed": 0, "fingerprints": fingerprints, "skip_unreadable": True, "template": "", "tokenizer": None}
    made = html.unescape(page(REPORT | {"inputs": {"x y": 1}, "settings": settings}))
    assert f"<pre>toolrl prepare \\\n  'x y' \\\n  --out DIR \\\n  --seed 0{said} \\\n  --skip-unreadable</pre>" in made


def test_text_of_the_data_cannot_command_the_terminal():
    samples = [{"id": "a\x1b[31m\nb\x9b", "detail": ""}]
    table = [{"source": "s\x1b[2J", "turns": "single", "raw": 1, "kept": 1}]
    text = summary(REPORT | {"table": table, "dropped": {"too_long": {"rows": 1, "samples": samples}}})
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "e.g. a [31m b" in text


def test_the_page_says_what_the_report_says():
    text = read(REPORT).text
    for said in (
        "69,653 prompts prepared",
        "62,687 to train on and 6,966 held out, from 71,300 rows of 2 inputs that hold 72,000 prompts. 2,347 were dropped,",
        "150 labels repaired.",
        "ToolACE xLAM single-turn multi-turn single-turn total raw 10,500 800 60,000 71,300 after processing 8,183 1,470 60,000 69,653",
        "wrong type 2,000 A value is of another type than the schema says,",
        'an example a|1 [0].arguments.x: type "integer", got 10.5 too long 347',
        'c [0].arguments.page "1" → 1',
        "drop tools 9,000",
        "BFCL 3 removed; 3,641 items known ACEBench 0 found; 973 items known an example d BFCL: request and tools",
        "9 shortest 99 median 499 95% are at most 999 longest",
        "toolrl prepare \\ hub/xlam \\ 'my rows.jsonl' \\ --out DIR \\ --seed 0 \\ --no-call drop \\ --drop-tools 0.15",
    ):
        assert said in text


def test_the_page_warns_where_prompts_of_benchmarks_are_trained_on():
    kept = json.loads(json.dumps(REPORT))
    kept["contamination"]["removed"] = False
    assert "BFCL 3 trained on; 3,641 items known" in read(kept).text
    assert "These prompts are kept" in read(kept).text
    assert "in BFCL                     3  trained on; 3,641 items known" in summary(kept)
    assert "These prompts are kept" not in read(REPORT).text


def test_bars_are_as_long_as_their_shares():
    flow = [value for name, value in read(REPORT).attributes if name == "style" and value.startswith("flex")]
    assert flow == ["flex:87.065", "flex:9.675", "flex:2.778", "flex:0.482"]  # of 72,000: 62,687, 6,966, 2,000 and 347
    widths = [value for name, value in read(REPORT).attributes if name == "style" and value.startswith(("width", "left"))]
    assert widths == ["width:100.0%", "width:17.35%", "width:100.0%", "width:84.95%", "left:50.0%"]  # 10, 100, 500, 1000 by logarithm


HOSTILE = (
    "</style></pre><script>alert(1)</script><img src=x onerror=alert(1)>\"' style='x:url(//e)' {{ 7 * 7 }} {% raw %} &lt;b&gt; javascript:x"
)


def prefixed(text, value):
    """Return a report with `text` before every word that comes from the data or its names."""
    if isinstance(value, dict):
        return {(key if key in KEYS else text + key): prefixed(text, item) for key, item in value.items()}
    if isinstance(value, list):
        return [prefixed(text, item) for item in value]
    return text + value if isinstance(value, str) and value not in ("single", "multi") else value


KEYS = {*REPORT, "train", "heldout", "rows", "samples", "id", "detail", "removed", "benchmarks", "items", "hits", "benchmark", "match",
        "source", "turns", "raw", "kept", "unit", "min", "median", "p95", "max"}  # fmt: skip


def test_whatever_the_data_say_the_page_shows_it_and_runs_nothing():
    reader, plain = read(prefixed(HOSTILE, REPORT)), read(prefixed("x ", REPORT))
    assert reader.tags == plain.tags
    assert [name for name, _ in reader.attributes] == [name for name, _ in plain.attributes]
    assert reader.style == plain.style
    assert HOSTILE in reader.text
    tags = {"quoted_json": {"rows": 1, "samples": [{"id": "c", "detail": "<i>: <b>1</b> -> <u>2</u>"}]}}
    assert "c <i> <b>1</b> → <u>2</u>" in read(REPORT | {"repaired": tags}).text
    assert reader.text.count("<script>alert(1)</script>") >= 20


@pytest.mark.parametrize("report", [REPORT, EMPTY])
def test_the_page_needs_nothing_but_itself(report):
    reader = read(report)
    assert not {"script", "link", "img", "iframe", "object", "embed", "form", "base", "a", "svg"} & set(reader.tags)
    assert not {"src", "href", "srcset", "action"} & {name for name, _ in reader.attributes}
    assert not any(name.startswith("on") for name, _ in reader.attributes)
    assert "url(" not in reader.style
    assert "@import" not in reader.style
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in reader.attributes
    assert ("content", "width=device-width, initial-scale=1") in reader.attributes


@pytest.mark.parametrize("section", [*NOTHING, "all"])
def test_a_report_without_entries_in_a_section_is_a_report(section):
    report = EMPTY if section == "all" else REPORT | {section: type(REPORT[section])()}
    assert read(report).text.endswith("All of this is in report.json too.")
    assert summary(report)


def test_an_empty_report_says_so():
    text = read(EMPTY).text
    assert "0 prompts prepared" in text
    assert "No rows were read." in text
    assert "Nothing: every prompt is kept." in text
    assert "No benchmark was looked for." in text


def test_a_repair_that_does_not_read_as_a_change_is_shown_as_it_is():
    detail = "[0].arguments.a: x -> y -> z"
    odd = {"quoted_json": {"rows": 1, "samples": [{"id": "c", "detail": detail}]}}
    assert f"c {detail}" in read(REPORT | {"repaired": odd}).text


def test_every_reason_and_kind_has_words():
    assert set(DROPPED) == set(REASONS)
    assert set(REPAIRED) == set(REPAIRED_KINDS)
    assert set(AUGMENTED) == set(AUGMENTED_KINDS)


def test_the_same_report_gives_the_same_page():
    assert page(REPORT) == page(json.loads(json.dumps(REPORT)))


def test_quantiles_are_lengths_that_occur():
    assert quantiles(array("q", range(1, 101))) == {"min": 1, "median": 50, "p95": 95, "max": 100}
    assert quantiles(array("q", [10, 20])) == {"min": 10, "median": 10, "p95": 20, "max": 20}
    assert quantiles(array("q")) == {"min": 0, "median": 0, "p95": 0, "max": 0}
