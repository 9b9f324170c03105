"""Properties of equality under any schema, and each mode against a slow matcher written here from the table of rules.

Nothing here comes from the matchers: values are compared one pair at a time, and all orders of the calls are tried.
"""

import itertools
import json
import unicodedata
from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from toolrl.calls.bfcl import bfcl_accepts
from toolrl.calls.render import render_completion
from toolrl.reward.verifier import MODES, make_verifier
from toolrl.types import AcceptedCall, Prompt, Tool, ToolCall

VERIFIERS = {mode: make_verifier(mode) for mode in MODES}
KEYS = ("a", "b", "Zürich", unicodedata.normalize("NFD", "Zürich"))
NEAR = (
    (1, Decimal("1.0"), True, "1"),
    (0, Decimal("0.0"), False, "", None),
    (2**53, 2**53 + 1, Decimal(2**53)),
    ("It's a b.", "its a-b"),
    KEYS,
)
"""Leaves that are easily taken for each other."""
LEAVES = st.sampled_from(NEAR).flatmap(st.sampled_from)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3), max_leaves=6
)


def nearly(value, rng):
    """The value with the keys of objects turned round and now and then a leaf that is easily taken for the one it replaces."""
    if isinstance(value, dict):
        return {rng.choice(KEYS[2:]) if key in KEYS[2:] and rng.random() < 0.2 else key: nearly(value[key], rng) for key in reversed(value)}
    if isinstance(value, list):
        return [nearly(item, rng) for item in value]
    near = next(near for near in NEAR if any(type(leaf) is type(value) and leaf == value for leaf in near))
    return rng.choice(near) if rng.random() < 0.25 else value


@st.composite
def schemas(draw, depth=2, defaults=True):
    """A schema of an object: members of every type, some with a default, some required, some of objects and lists."""
    members = {}
    for key in draw(st.lists(st.sampled_from(KEYS), unique=True, min_size=1)):
        kind = draw(st.sampled_from(["string", "integer", "number", "boolean", "array", "object", None, ["number", "null"]]))
        member = {} if kind is None else {"type": kind}
        if kind == "array" and draw(st.booleans()):
            member["items"] = {"type": draw(st.sampled_from(["string", "integer", "number"]))}
        if kind == "object" and depth:
            member |= draw(schemas(depth - 1, defaults))
        if defaults and draw(st.booleans()):
            member["default"] = draw(LEAVES)
        members[key] = member
    required = draw(st.lists(st.sampled_from(sorted(members)), unique=True)) if members else []
    return {"type": "object", "properties": members, "required": required}


def tools(schema):
    return (Tool("f", "", schema), Tool("g", "", {}))


CALLS = st.lists(
    st.builds(ToolCall, st.sampled_from(["f", "f", "g"]), st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3)), max_size=3
)


@st.composite
def changed(draw, calls):
    """The calls in another order and nearly the same; now and then an argument is left out, or one more is given."""
    rng = draw(st.randoms(use_true_random=False))
    found = []
    for call in draw(st.permutations(calls)):
        arguments = nearly(call.arguments, rng) if draw(st.booleans()) else reversed_keys(call.arguments)
        if draw(st.integers(0, 3)) == 0:
            arguments.pop(draw(st.sampled_from(KEYS)), None)
        if draw(st.integers(0, 3)) == 0:
            arguments[draw(st.sampled_from(KEYS))] = draw(LEAVES)
        found.append(ToolCall(call.name, arguments))
    return found


def reversed_keys(value):
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


PAIRS = CALLS.flatmap(lambda calls: st.tuples(st.just(calls), changed(calls)))


def right(mode, predicted, reference, schema, accepted=()):
    prompt = Prompt("p", "test", (), tools(schema), tuple(reference), accepted=tuple(accepted))
    return VERIFIERS[mode](prompt, render_completion(predicted, "x")).reward == 1.0


@given(CALLS, schemas())
def test_calls_equal_themselves_under_any_schema(calls, schema):
    assert right("strict", calls, calls, schema)
    assert right("paper", calls, calls, schema)


@given(CALLS, schemas(), st.randoms())
def test_the_order_of_calls_and_keys_is_free_and_duplicates_count(calls, schema, rng):
    shuffled = [ToolCall(call.name, reversed_keys(call.arguments)) for call in rng.sample(calls, len(calls))]
    for mode in ("strict", "paper"):
        assert right(mode, shuffled, calls, schema)
        assert not right(mode, [*calls, ToolCall("f", {})], calls, schema)
        if len({repr(call) for call in calls}) == 2:  # as many calls, but other copies of them
            assert right(mode, [*calls, calls[0]], [calls[0], *calls], schema)


@given(PAIRS, schemas())
def test_equality_is_symmetric_with_defaults_and_without(pair, schema):
    """Under strict a default counts on either side, under paper on neither; BFCL's rules have sides, so they are not symmetric."""
    first, second = pair
    for mode in ("strict", "paper"):
        assert right(mode, first, second, schema) == right(mode, second, first, schema)


def test_bfcl_is_not_symmetric():
    schema = {"type": "object", "properties": {"a": {"type": "number", "x_type": "float"}}}
    assert right("bfcl", [ToolCall("f", {"a": 1})], [ToolCall("f", {"a": Decimal("1.0")})], schema)
    assert not right("bfcl", [ToolCall("f", {"a": Decimal("1.0")})], [ToolCall("f", {"a": 1})], {"properties": {"a": {"type": "integer"}}})


def nfc(text):
    return unicodedata.normalize("NFC", text)


def same(a, b, schema):
    """The table of the strict mode, row by row."""
    if type(a) in (bool, type(None)) or type(b) in (bool, type(None)):
        return type(a) is type(b) and a == b
    if isinstance(a, int | Decimal) and isinstance(b, int | Decimal):
        words = schema.get("type", ())
        is_number = bool({"number", "integer"} & {*([words] if isinstance(words, str) else words)})
        return Fraction(a) == Fraction(b) and (is_number or type(a) is type(b))
    if isinstance(a, str) and isinstance(b, str):
        return nfc(a) == nfc(b)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y, schema.get("items", {})) for x, y in zip(a, b, strict=True))
    return isinstance(a, dict) and isinstance(b, dict) and same_members(a, b, schema)


def same_members(a, b, schema):
    if a.keys() != b.keys():
        a, b = folded(a), folded(b)
    return all(
        same(a[key], b[key], member(schema, key)) if key in a and key in b else is_default(a.get(key, b.get(key)), key, schema)
        for key in a.keys() | b.keys()
    )


def folded(members):
    found = {nfc(key): value for key, value in members.items()}
    return found if len(found) == len(members) else members


def member(schema, key):
    return schema.get("properties", {}).get(key, {})


def is_default(value, key, schema):
    stated = member(schema, key)
    return "default" in stated and key not in schema.get("required", ()) and same(value, stated["default"], stated)


def some_order(predicted, reference, fits):
    if len(predicted) != len(reference):
        return False
    return any(all(map(fits, order, reference)) for order in itertools.permutations(predicted))


@settings(max_examples=400)
@given(PAIRS, schemas())
def test_strict_agrees_with_a_slow_matcher_under_any_schema(pair, schema):
    first, second = pair
    expected = some_order(first, second, lambda p, r: p.name == r.name and same(p.arguments, r.arguments, schema if r.name == "f" else {}))
    assert right("strict", first, second, schema) == expected


@settings(max_examples=300)
@given(PAIRS, schemas())
def test_paper_agrees_with_a_slow_matcher(pair, schema):
    """Each call as sorted JSON, numbers through float; no schema, no NFC, no default."""
    first, second = ([json.dumps([c.name, c.arguments], sort_keys=True, default=float) for c in calls] for calls in pair)
    assert right("paper", *pair, schema) == (sorted(first) == sorted(second))


@st.composite
def accepted_calls(draw, calls):
    """The calls with several values for each argument, their own among them or not, "" for what may be left out."""
    found = []
    for call in calls:
        values = {
            key: tuple(
                draw(
                    st.permutations(
                        [*draw(st.lists(LEAVES, max_size=2)), *([value] if draw(st.integers(0, 4)) else []), ""][: draw(st.integers(1, 4))]
                    )
                )
            )
            for key, value in call.arguments.items()
        }
        found.append(AcceptedCall(call.name, values))
    return found


def plain(value):
    """A value that is no statement of accepted members: no object whose members are all lists, at any depth."""
    if isinstance(value, dict):
        return not (value and all(isinstance(item, list) for item in value.values())) and all(map(plain, value.values()))
    return all(map(plain, value)) if isinstance(value, list) else True


def fits_accepted(call, accepted, schema):
    def left_out(key, values):
        stated = member(schema, key)
        has_default = "default" in stated and key not in schema.get("required", ())
        return "" in values or (has_default and any(same(stated["default"], value, stated) for value in values))

    return (
        call.name == accepted.name
        and all(
            any(same(call.arguments[key], value, member(schema, key)) for value in values)
            if key in call.arguments
            else left_out(key, values)
            for key, values in accepted.values.items()
        )
        and all(key in accepted.values or is_default(value, key, schema) for key, value in call.arguments.items())
    )


@settings(max_examples=300)
@given(
    CALLS.filter(lambda calls: all(plain(call.arguments[key]) for call in calls for key in call.arguments)).flatmap(
        lambda calls: st.tuples(changed(calls), accepted_calls(calls), st.just(calls))
    ),
    schemas(),
)
def test_strict_with_accepted_values_agrees_with_a_slow_matcher(case, schema):
    """The keys of accepted values are compared as they are; the reference itself is always right."""
    predicted, accepted, reference = case
    if not accepted:
        return
    expected = some_order(predicted, accepted, lambda p, a: fits_accepted(p, a, schema if a.name == "f" else {})) or right(
        "strict", predicted, reference, schema
    )
    assert right("strict", predicted, reference, schema, accepted) == expected


BFCL_TYPES = {"string": str, "integer": int, "float": float, "boolean": bool, "array": list}
BFCL_SCHEMA = {
    "type": "object",
    "properties": {
        key: {"type": word, "items": {"type": "integer"}} if word == "array" else {"type": word}
        for key, word in zip("sifbl", BFCL_TYPES, strict=True)
    },
    "required": ["s"],
}
BFCL_VALUES = {
    "s": st.sampled_from(["New York", "new-york", "N.Y.", "", "'q'", '"q"', "1"]),
    "i": st.sampled_from([0, 1, 2]),
    "f": st.sampled_from([1, 2, 1.0, 2.5]),
    "b": st.booleans(),
    "l": st.sampled_from([[1], [1, 2], [2, 1], [True], ["a b"], ["ab"], []]),
}
BFCL_ANY = st.sampled_from(sorted(BFCL_VALUES)).flatmap(BFCL_VALUES.get)


def mostly(usual):
    """Values of a type, one in ten of another."""
    return st.integers(0, 9).flatmap(lambda n: usual if n else BFCL_ANY)


@st.composite
def bfcl_cases(draw):
    """Accepted calls, and calls that are made of what they accept, with an error here and there."""
    accepted, predicted = [], []
    for _ in range(draw(st.integers(1, 3))):
        keys = ["s", *draw(st.lists(st.sampled_from("ifbl"), unique=True, max_size=3))]
        values = {key: draw(st.lists(mostly(BFCL_VALUES[key]) | st.just(""), min_size=1, max_size=3)) for key in keys}
        given = {
            key: draw(st.sampled_from(values[key]) if draw(st.integers(0, 5)) else BFCL_VALUES[key])
            for key in keys
            if draw(st.integers(0, 8))
        }
        if not draw(st.integers(0, 9)):
            given[draw(st.sampled_from("sifblx"))] = draw(BFCL_ANY)
        accepted.append(AcceptedCall("f", {key: tuple(each) for key, each in values.items()}))
        predicted.append(ToolCall("f" if draw(st.integers(0, 9)) else "g", given))
    return draw(st.permutations(predicted)), accepted


def squeezed(text):
    return "".join('"' if c == "'" else c for c in text.lower() if c not in " ,./-_*^") if isinstance(text, str) else text


def bfcl_value(value, answers, word):
    """One argument by the benchmark's rules: exact type, or the type of the first answer, then raw; text squeezed, lists item by item."""
    wanted = BFCL_TYPES[word]
    label = next((type(answer) for answer in answers if answer != ""), None)
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is wanted and wanted is list:
        inner = [answer for answer in answers if isinstance(answer, list)]
        labels = [next((type(item) for item in answer if item != ""), None) for answer in inner]
        typed = any(all(type(item) in (int, first) for item in value) for first in labels)
        if not typed and len(inner) == len(answers):
            return False
    elif type(value) is not wanted and type(value) is not label:
        return False
    if label in (None, wanted) and wanted is str:
        return squeezed(value) in [squeezed(answer) for answer in answers if isinstance(answer, str)]
    if label in (None, wanted) and wanted is list:
        items = [squeezed(item) for item in value]
        return items in [[squeezed(item) for item in answer] for answer in answers if isinstance(answer, list | str)]
    return value in answers


def fits_bfcl(call, accepted):
    given = call.arguments
    return (
        call.name == accepted.name
        and all(key in given for key in BFCL_SCHEMA["required"])
        and all(key in accepted.values and key in BFCL_SCHEMA["properties"] for key in given)
        and all(bfcl_value(value, accepted.values[key], BFCL_SCHEMA["properties"][key]["type"]) for key, value in given.items())
        and all("" in answers for key, answers in accepted.values.items() if key not in given)
    )


@settings(max_examples=600)
@given(bfcl_cases())
def test_bfcl_agrees_with_a_slow_checker(case):
    predicted, accepted = case
    expected = some_order(predicted, accepted, fits_bfcl)
    assert right("bfcl", predicted, (ToolCall("f", {}),), BFCL_SCHEMA, accepted) == expected
    assert bfcl_accepts(predicted, accepted, tools(BFCL_SCHEMA)) == expected
