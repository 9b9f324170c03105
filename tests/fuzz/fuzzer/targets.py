"""What is fuzzed, each with the contract it must keep: nothing raises, and what comes back can be written down."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from fuzzer.seeds import PROMPTS
from toolrl.calls.bfcl import java, javascript
from toolrl.calls.fault import Fault
from toolrl.calls.lenient import content_right, find_calls, quotes_matter
from toolrl.calls.locate import locate
from toolrl.calls.paper import parse_paper
from toolrl.calls.parse import parse
from toolrl.config.task import NO_CALL
from toolrl.data.formats.brackets import parse_calls
from toolrl.errors import DataError
from toolrl.protocols import Verifier
from toolrl.reward.functions import FUNCTIONS
from toolrl.reward.verifier import MODES, make_verifier
from toolrl.types import Prompt, Reason

MAX_TOLD = 4000
"""Characters of an explanation: it is stored for every completion."""
Target = Callable[[str], str]
"""Reads a text and returns the name of what came out; AssertionError where a promise is broken."""


def read_strictly(text: str) -> str:
    """The strict parser, and where in the text it says the fault is."""
    found = parse(text)
    if not isinstance(found, Fault):
        return type(found).__name__
    at = locate(text, found)
    assert at is None or 0 <= at <= len(text), f"the fault is said to be at {at} of {len(text)}"
    return _told(found.reason, found.path, found.expected, found.got)


def read_as_paper(text: str) -> str:
    """The paper's parser."""
    found = parse_paper(text)
    return _told(found.reason, found.path, found.expected, found.got) if isinstance(found, Fault) else "calls"


def read_leniently(text: str) -> str:
    """The lenient reading and the questions asked of it."""
    calls = find_calls(text)
    for prompt in PROMPTS:
        right = content_right(calls, prompt.reference, prompt.tools)
        assert not (right and calls is None)
        if calls is not None and len(calls) == len(prompt.reference):
            quotes_matter(calls, prompt.reference, prompt.tools)
    return "nothing" if calls is None else "calls"


def read_brackets(text: str) -> str:
    """The reader of call syntax; it may refuse a text, by DataError only."""
    try:
        parse_calls(text, PROMPTS[0].tools)
    except DataError as refused:
        str(refused).encode("utf-8", "backslashreplace")
        return "refused"
    return "calls"


def read_java_literal(text: str) -> str:
    """The reader of Java literals, as each type; ValueError is its refusal."""
    return _read_each(java.TYPES, java.LISTS, java.read_java, text)


def read_javascript_literal(text: str) -> str:
    """The reader of JavaScript literals, as each type; ValueError is its refusal."""
    return _read_each(javascript.TYPES, javascript.LISTS, javascript.read_javascript, text)


def _read_each(words: Iterable[str], lists: Collection[str], read: Callable[[str, str, str | None], object], text: str) -> str:
    refused = 0
    for word, items in [*((word, None) for word in words), *((word, "any") for word in lists)]:
        try:
            read(text, word, items)
        except ValueError:
            refused += 1
    return "refused" if refused else "calls"


def judged(verifier: Verifier, prompts: Sequence[Prompt] = PROMPTS) -> Target:
    """Return a verifier as a target; which of the prompts a text answers, its length says."""

    def judge(text: str) -> str:
        verdict = verifier(prompts[len(text) % len(prompts)], text)
        assert verdict.reward is not None, f"no reward: {verdict}"
        assert (verdict.reason is Reason.CORRECT) <= (verdict.format_right and verdict.content_right), f"contradicts itself: {verdict}"
        return _told(verdict.reason, verdict.path, verdict.expected, verdict.got)

    return judge


def _told(reason: Reason, *words: str) -> str:
    assert len("".join(words).encode()) <= MAX_TOLD, f"an explanation of {sum(map(len, words))} characters"
    return reason.value


def _verifiers() -> Iterator[tuple[str, Verifier]]:
    for mode in MODES:
        yield mode, make_verifier(mode)
        yield f"{mode}, every reward function", make_verifier(mode, functions=dict.fromkeys(FUNCTIONS, 1.0))
    yield from ((f"strict, no call as {form}", make_verifier("strict", no_call=form)) for form in NO_CALL if form != "either")


READERS: Mapping[str, Target] = {
    "parse": read_strictly,
    "parse_paper": read_as_paper,
    "lenient reading": read_leniently,
    "call syntax": read_brackets,
    "Java literals": read_java_literal,
    "JavaScript literals": read_javascript_literal,
}


def judges() -> Mapping[str, Target]:
    """Return every verifier as a target."""
    return {name: judged(verifier) for name, verifier in _verifiers()}
