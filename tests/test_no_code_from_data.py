"""What comes from a model, a data row or an endpoint is never run: whatever could run it stands on a list, with the reason it may."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "toolrl"
FILES = sorted(ROOT.rglob("*.py"))

MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "code", "codeop", "runpy", "pty"}
"""Modules that turn bytes or text into something that runs."""
BUILTINS = {"eval", "exec", "compile", "__import__"}
DOTTED = {
    "os.system", "os.popen", "os.startfile", "os.execl", "os.execle", "os.execlp", "os.execv", "os.execve", "os.execvp", "os.execvpe",
    "os.posix_spawn", "subprocess.getoutput", "subprocess.getstatusoutput", "importlib.import_module", "importlib.__import__",
    "importlib.util.spec_from_file_location", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "yaml.Loader",
    "yaml.UnsafeLoader", "torch.load", "torch.jit.load", "torch.hub.load", "numpy.load", "np.load", "pandas.read_pickle",
}  # fmt: skip
"""Functions that do, by the name they are called by here."""
ENDINGS = {"register_new_resolver", "read_pickle", "from_string", "extractall"}
"""The same, whatever they are methods of."""
UNSAFE_KEYWORDS = {"shell", "trust_remote_code", "allow_pickle", "allow_dangerous_deserialization"}
"""Arguments that must not be anything but False."""
STARTERS = {"subprocess.Popen", "subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.check_output"}

ALLOWED = {
    ("reward/custom.py", "importlib.import_module"): "a user's own reward, named in the configuration",
    ("reward/portable.py", "pickle"): "writes only, to say which part of a verifier cannot travel to a worker",
    ("learner/unpickling.py", "pickle"): "names the error of a refused file",
    ("learner/model.py", "pickle"): "names the error of a refused file",
    ("learner/reshard.py", "torch.load"): "tensors and plain values only (weights_only=True)",
    ("data/report.py", "made.from_string"): "the page of a report, a template of ours, which escapes what is put into it",
    ("pipelines/reporting/page.py", "made.from_string"): "the page about runs, a template of ours, which escapes what is put into it",
    ("evaluation/checkout/judge.py", "importlib.import_module"): "upstream's modules, by names that stand here; a process of its own",
    ("evaluation/bfcl/foreign/run_official.py", "importlib.import_module"): "upstream's modules, by names that stand here; its own process",
}
STARTED = {
    "actors/reaper.py": "our own file and Python",
    "evaluation/bfcl/environment.py": "makes the evaluator's environment, with Python and pinned requirements",
    "evaluation/bfcl/process.py": "BFCL's evaluator, without our keys",
    "evaluation/checkout/process.py": "upstream's judge, without our keys",
    "monitor/environment.py": "git, about our own source",
    "pipelines/doctoring/processes.py": "py-spy, on a process by its number",
    "pipelines/doctoring/stack.py": "nvidia-smi",
    "pipelines/doctoring/standing.py": "dmesg",
    "pipelines/launch.py": "sbatch, ray or kubectl; settings go into their file quoted, word by word",
    "serving/process.py": "vLLM's server",
}
"""The files that start processes, and which."""


def dotted(node):
    """The name `a.b.c` of an expression, or what can be told of it."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def found(source):
    """Yield each name on the lists above that `source` uses, and the processes it starts as `starts a process`."""
    tree = ast.parse(source)
    renamed = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            renamed |= {alias.asname: alias.name for alias in node.names if alias.asname}
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom):
            renamed |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            if str(node.module).split(".")[0] in MODULES:
                yield str(node.module)
    kinds = {node.value for node in ast.walk(tree) if isinstance(node, ast.Subscript)}  # subprocess.Popen[bytes] is a type
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load) and node not in kinds:
            head, _, rest = dotted(node).partition(".")
            name = renamed.get(head, head) + (f".{rest}" if rest else "")
            if name in BUILTINS | DOTTED or (isinstance(node, ast.Attribute) and node.attr in ENDINGS):
                yield name
            if name in STARTERS:
                yield "starts a process"
        elif isinstance(node, ast.keyword) and node.arg in UNSAFE_KEYWORDS and not is_false(node.value):
            yield f"{node.arg}="
        elif isinstance(node, ast.keyword) and node.arg == "weights_only" and is_false(node.value):
            yield "weights_only=False"


def is_false(node):
    return isinstance(node, ast.Constant) and node.value is False


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(ROOT).as_posix())
def test_only_what_is_listed_could_run_what_it_is_given(file):
    path = file.relative_to(ROOT).as_posix()
    unlisted = [
        name for name in found(file.read_text()) if (path, name) not in ALLOWED and not (name == "starts a process" and path in STARTED)
    ]
    assert not unlisted, f"{path}: {unlisted}; find another way, or list it here with the reason why nothing from outside reaches it"


def test_the_lists_name_what_is_there():
    used = {(file.relative_to(ROOT).as_posix(), name) for file in FILES for name in found(file.read_text())}
    assert {(path, name) for path, name in ALLOWED if (ROOT / path).exists()} <= used
    assert {(path, "starts a process") for path in STARTED} <= used


@pytest.mark.parametrize(
    "source",
    [
        "eval(text)",
        "import pickle",
        "from pickle import loads",
        "import pickle as p; p.loads(b)",
        "import os\nos.system(text)",
        "from os import system\nsystem(text)",
        "from os import system as run\nrun(text)",
        "run = eval",
        "import subprocess\nsubprocess.run(text, shell=True)",
        "import subprocess as s\ns.run([text])",
        "f(shell=chosen)",
        "import yaml\nyaml.load(text, Loader=yaml.Loader)",
        "import torch\ntorch.load(path)",
        "torch_load(path, weights_only=False)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "import importlib\nimportlib.import_module(name)",
        "from importlib import import_module\nimport_module(name)",
        "AutoModel.from_pretrained(path, trust_remote_code=True)",
        "environment.from_string(text)",
        "archive.extractall(folder)",
    ],
)
def test_the_scan_sees(source):
    assert list(found(source))


@pytest.mark.parametrize(
    "source",
    [
        "model.eval()",
        "eval: int = 3",
        "import subprocess\ndef f(p: subprocess.Popen[bytes]): ...",
        "re.compile(x)",
        "f(trust_remote_code=False)",
        "g(weights_only=True)",
        "'eval(x)'",
    ],
)
def test_the_scan_is_not_taken_in_by(source):
    assert not list(found(source))
