"""Which commands read which file, and when such a command may go on although the file was broken.

A reader that refuses must name the file in its one message, with exit code 2, and leave every file as it was. Where it goes on although the
mutation is `certain`, `harmless` must say by which documented rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

RL = ("rl", "conf/rl.yaml")
RESUME = (*RL, "run.dir=run")
EVALUATE = ("evaluate", "heldout", "conf/evaluate.yaml")
ACE = ("--data", "acebench", "--categories", "normal_atom_number", "--completions", "rows/answers_acebench.jsonl")
API = ("--data", "apibank", "--completions", "rows/answers_apibank.jsonl")
UNASKED = ("is evaluated here; remove the line",)
"""What is said of a completion whose question is gone."""
PREPARED = ("data.train=prepared", "data.heldout=prepared")
ASK = (*EVALUATE, "--out", "asked")
GIVEN = (*EVALUATE, "--completions", "rows/completions.jsonl")
TABLE = ("recipes/table.yaml", "out=done")


@dataclass(frozen=True)
class Command:
    """A command that reads a file."""

    words: tuple[str, ...]
    makes: tuple[str, ...] = ()
    """What it may leave behind, or change, where it goes on."""
    named: tuple[str, ...] = ()
    """What its message may say in place of the file's own name: the folder it lies in."""
    tells: str = ""
    """What it says first, of which part of the output tells that; most say nothing before everything is checked."""
    instead: tuple[str, ...] = ()
    """What its output must say where it goes on with another file in place of a broken one."""
    harmless: Mapping[str, str] = field(default_factory=dict)
    """Mutation, or `*`, -> why the command goes on."""


@dataclass(frozen=True)
class Kind:
    """Files of one kind, and who reads them."""

    name: str
    files: tuple[str, ...]
    commands: tuple[Command, ...]
    folder: bool = False
    """Whether a stranger beside the file counts."""
    settings: bool = False
    """Whether it holds settings, so that a message may name one of them instead."""
    exact: bool = False
    """Whether a digest tells every change of a byte."""


PUBLISHED = {"*": "rows of a published set that cannot be read are left out and counted"}
PREPARE = ("--out", "out")
SIZED = ("at size small", "size: got")
SIZE_READERS = (("run", *TABLE, "--dry-run"), ("table", *TABLE))
TRAIN = ("run", "recipes/trained.yaml", "out=done", "--dry-run")
RUN_RECORDS = ("run/config.yaml", "run/versions.json", "run/status.json")
NEWEST, BEFORE, FIRST = (f"version-0000000{version}" for version in (3, 2, 1))
SHARDS = ("state.json", "latest", "global_step/rank_1_optim_states.pt")
ONLY = (*RL, "run.dir=only")
ONLY_RECORDS = ("only/config.yaml", "only/versions.json", "only/status.json")
ENDED_RECORDS = ("ended/config.yaml", "ended/versions.json", "ended/summary.json", "ended/status.json")
STARTED = (*RUN_RECORDS, "run/started_from.json")
TEMPLATE = (*RUN_RECORDS, "run/prompt.template")
KEPT = {"gone": "it is written again, from what is given now"}
LOST = {"gone": "a power cut may take it: the run goes on from its checkpoint, and `toolrl audit` tells what is missing"}
LOST_LINES = {**LOST, "empty": LOST["gone"], "blank": LOST["gone"]}
OLDER = "a run of an older version of toolrl has none"
RESUMED = (
    Command(RESUME, RUN_RECORDS, instead=(f"resuming from {BEFORE}", "passed over: ", NEWEST)),
    Command(("export", "run", "--version", "3", *PREPARE), ("out",), named=(NEWEST, "checkpoint of version 3")),
    Command((*RESUME, "--dry-run"), harmless={"*": "it reads no checkpoint"}),
)
REPLAYED = (Command(("replay", "run", "4:1"), instead=(f"from checkpoint {FIRST}", f"checkpoint passed over: run/checkpoints/{BEFORE}")),)

KINDS = (
    Kind(
        "settings of rl",
        ("conf/rl.yaml",),
        (Command((*RL, "conf/more.yaml", "--dry-run")), Command(("config", "conf/rl.yaml"))),
        settings=True,
    ),
    Kind("settings of sft", ("conf/sft.yaml",), (Command(("sft", "conf/sft.yaml", "--dry-run")),), settings=True),
    Kind("settings of evaluate", ("conf/evaluate.yaml",), (Command((*GIVEN, "--dry-run")),), settings=True),
    Kind(
        "recipe",
        ("recipes/table.yaml", "recipes/table/plain.yaml"),
        (Command(("run", *TABLE, "--dry-run"), named=SIZED), Command(("table", *TABLE), named=SIZED)),
    ),
    Kind("size of a recipe", ("recipes/sizes/small.yaml",), tuple(Command(words, named=SIZED) for words in SIZE_READERS)),
    Kind("recipe that trains", ("recipes/trained.yaml",), (Command(TRAIN, named=(*SIZED, "trained, at size")),)),
    Kind("mark of a step", ("done/small/PLAIN.json",), (Command(("table", *TABLE), harmless={"gone": "the step is not done"}),)),
    Kind(
        "rows, chat", ("rows/chat.jsonl", "rows/chat.json"), (Command(("prepare", "FILE", *PREPARE), ("out",)), Command(("audit", "FILE")))
    ),
    Kind("rows, chat in Parquet", ("rows/chat.parquet",), (Command(("prepare", "FILE", *PREPARE), ("out",)),)),
    *(
        Kind(f"rows, {name}", (f"rows/{name}.{suffix}",), (Command(("prepare", "FILE", *PREPARE), ("out",), harmless=PUBLISHED),))
        for name, suffix in (
            ("xlam", "jsonl"),
            ("xlam", "parquet"),
            ("toolace", "jsonl"),
            ("hermes", "jsonl"),
            ("bfcl", "jsonl"),
            ("toolrl", "jsonl"),
        )
    ),
    Kind("held-out rows", ("rows/heldout.jsonl",), (Command((*RL, "--dry-run")), Command((*GIVEN, "--dry-run"), named=UNASKED))),
    Kind("demonstrations", ("rows/demonstrations.jsonl",), (Command(("sft", "conf/sft.yaml", "--dry-run")),)),
    Kind("completions", ("rows/completions.jsonl",), (Command((*GIVEN, *PREPARE), ("out",)),)),
    Kind("completions to score", ("rows/score.jsonl",), (Command(("score", "FILE")),)),
    Kind(
        "prepared prompts",
        ("prepared/train.parquet",),
        (Command((*RL, *PREPARED, "--dry-run")), Command(("audit", "prepared"))),
    ),
    Kind(
        "prepared prompts, held out",
        ("prepared/heldout.parquet",),
        (Command((*RL, *PREPARED, "--dry-run")), Command(("audit", "prepared", "--part", "heldout"))),
    ),
    Kind("report of prepare", ("prepared/report.json",), (Command(("prepare", "rows/chat.jsonl", "--out", "prepared"), ("prepared",)),)),
    Kind(
        "prompt template",
        ("words.template",),
        (
            Command((*RL, "prompt.template=FILE", "--dry-run")),
            Command(("prepare", "rows/chat.jsonl", *PREPARE, "--template", "FILE"), ("out",)),
        ),
    ),
    Kind("fingerprints", ("bfcl.fingerprints",), (Command(("prepare", "rows/chat.jsonl", *PREPARE, "--fingerprints", "FILE"), ("out",)),)),
    Kind(
        "benchmark",
        ("apibank/level1_dialogues.jsonl", "apibank/unified.jsonl"),
        (
            Command(("fingerprint", "apibank", "apibank", *PREPARE), ("out",), harmless={"gone": "a part of a benchmark is one, too"}),
            Command(("evaluate", "apibank", *API, *PREPARE), ("out",), named=UNASKED),
        ),
    ),
    Kind(
        "questions of a benchmark",
        ("acebench/data_normal_atom_number.json",),
        (
            Command(("fingerprint", "acebench", "acebench", *PREPARE), ("out",), named=("acebench: no file data_*.json there",)),
            Command(("evaluate", "acebench", *ACE, *PREPARE), ("out",), named=UNASKED),
        ),
    ),
    Kind(
        "answers of a benchmark",
        ("acebench/possible_answer/data_normal_atom_number.json",),
        (Command(("evaluate", "acebench", *ACE, *PREPARE), ("out",)),),
    ),
    Kind("tokenizer", ("model/tokenizer.json", "model/chat_template.jinja"), (Command((*RL, "--dry-run")),)),
    Kind(
        "settings of a tokenizer",
        ("model/tokenizer_config.json",),
        (Command((*RL, "--dry-run"), harmless={"gone": "Transformers needs it for no tokenizer of tokenizer.json"}),),
    ),
    Kind("model to export", ("model/config.json",), (Command(("export", "model", *PREPARE), ("out",)),)),
    Kind(
        "ends of a model to export",
        ("model/generation_config.json",),
        (Command(("export", "model", *PREPARE), ("out",), harmless={"gone": "not every model has it"}),),
    ),
    Kind(
        "settings of a run",
        ("run/config.yaml",),
        (
            Command(("explain", "run")),
            Command(("rescore", "run")),
            Command((*RESUME, "--dry-run")),
            Command(RESUME, RUN_RECORDS),
            Command(("export", "run", "--version", "2", *PREPARE), ("out",), named=("run: is no run",)),
        ),
    ),
    Kind(
        "attempts of a run",
        ("run/versions.json",),
        (Command(("replay", "run", "4:1")), Command(RESUME, RUN_RECORDS), Command((*RESUME, "--dry-run"))),
    ),
    Kind(
        "metrics of a run",
        ("run/metrics.jsonl",),
        (Command(RESUME, RUN_RECORDS, harmless=LOST_LINES), Command(("replay", "run", "4:1"), harmless=LOST_LINES)),
    ),
    Kind(
        "prompts of a run",
        ("run/prompts.parquet",),
        (
            Command(("explain", "run", "--sample", "4.1")),
            Command(("rescore", "run")),
            Command(("replay", "run", "4:1")),
            Command(RESUME, RUN_RECORDS),
        ),
    ),
    Kind(
        "rollouts of a run",
        ("run/rollouts/version-000002.parquet",),
        (
            Command(("explain", "run"), harmless=LOST),
            Command(("explain", "run", "--sample", "2.1"), named=("no 2.1 in run",)),
            Command(("explain", "run", "--version", "2"), named=("no 2 in run",)),
            Command(("rescore", "run"), harmless=LOST),
            Command(("replay", "run", "2:1"), named=("no 2:1 in run",)),
            Command(RESUME, RUN_RECORDS, harmless=LOST),
        ),
    ),
    Kind("template of a run", ("run/prompt.template",), (Command(RESUME, TEMPLATE, harmless=KEPT), Command(("replay", "run", "4:1")))),
    Kind(
        "summary of a run",
        ("ended/summary.json",),
        (
            Command((*RL, "run.dir=ended", "run.steps=3"), ENDED_RECORDS, harmless={"gone": "the run has not ended"}),
            Command(("export", "ended", *PREPARE), ("out",), named=("ended: the run has not ended",)),
        ),
    ),
    Kind(
        "start of a run",
        ("run/started_from.json",),
        (Command(RESUME, STARTED, harmless={"gone": OLDER}), Command((*RESUME, "--dry-run"), harmless={"gone": OLDER})),
    ),
    Kind("checkpoint", tuple(f"run/checkpoints/{NEWEST}/{name}" for name in SHARDS), RESUMED, folder=True, exact=True),
    Kind("mark of a checkpoint", (f"run/checkpoints/{NEWEST}/COMPLETE",), RESUMED, folder=True),
    Kind(
        "only checkpoint",
        tuple(f"only/checkpoints/{NEWEST}/{name}" for name in SHARDS),
        (Command(ONLY, ONLY_RECORDS, named=(NEWEST,)),),
        exact=True,
    ),
    Kind(
        "mark of the only checkpoint",
        (f"only/checkpoints/{NEWEST}/COMPLETE",),
        (Command(ONLY, ONLY_RECORDS, named=(NEWEST,), harmless={"gone": "a crash before the mark"}),),
    ),
    Kind("checkpoint to replay from", tuple(f"run/checkpoints/{BEFORE}/{name}" for name in SHARDS), REPLAYED, folder=True, exact=True),
    Kind("mark of a checkpoint to replay from", (f"run/checkpoints/{BEFORE}/COMPLETE",), REPLAYED, folder=True),
    Kind(
        "scores of an evaluation",
        ("evaluated/scores.json",),
        (
            Command((*GIVEN, *PREPARE, "--against", "evaluated"), ("out",)),
            Command(("export", "model", *PREPARE, "--scores", "evaluated"), ("out",)),
        ),
    ),
    Kind(
        "items of an evaluation",
        ("evaluated/rollouts/version-000000.parquet",),
        (
            Command((*GIVEN, *PREPARE, "--against", "evaluated"), ("out",)),
            Command(("explain", "evaluated"), named=("evaluated: no rollouts yet",)),
            Command(("explain", "evaluated", "--sample", "2.0"), named=("evaluated: no rollouts yet",)),
            Command(("rescore", "evaluated"), named=("evaluated: no rollouts yet",)),
        ),
    ),
    Kind(
        "scores of a table",
        ("done/small/PLAIN/scores.json",),
        (Command(("table", *TABLE), instead=("not run",)),),
    ),
    Kind("items of a table", ("done/small/PLAIN/rollouts/version-000000.parquet",), (Command(("table", *TABLE)),)),
    Kind(
        "journal of replies",
        ("asked/replies.jsonl",),
        (Command(ASK, ("asked",), named=("it has no replies",), harmless={"empty": "it was killed before it wrote a line"}),),
    ),
)
