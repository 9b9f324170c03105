import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.data.typewords import JSON_TYPES, is_optional, type_schema

STRING, INTEGER, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}


@pytest.mark.parametrize(
    ("word", "schema"),
    [
        ("str", STRING), ("str, optional", STRING), ("String", STRING), ("int", INTEGER), ("float", NUMBER), ("bool", {"type": "boolean"}),
        ("Optional[int]", INTEGER), ("int | None", INTEGER), ("Union[int, None]", INTEGER),
        ("typing.List[int], optional", {"type": "array", "items": INTEGER}),
        ("List[int]", {"type": "array", "items": INTEGER}), ("list", {"type": "array"}),
        ("List", {"type": "array"}), ("List[Any]", {"type": "array"}),
        ("List[List[str]]", {"type": "array", "items": {"type": "array", "items": STRING}}), ("set", {"type": "array"}),
        ("Set[str]", {"type": "array", "items": STRING}), ("Tuple[float, float]", {"type": "array", "items": NUMBER}),
        ("Tuple[int, str]", {"type": "array"}), ("Tuple[int, ...]", {"type": "array", "items": INTEGER}), ("dict", {"type": "object"}),
        ("Dict[str, Any]", {"type": "object"}), ("Dict[str, int]", {"type": "object", "additionalProperties": INTEGER}),
        ("List[Dict[str, Union[int, float]]]",
         {"type": "array", "items": {"type": "object", "additionalProperties": {"type": ["integer", "number"]}}}),
        ("Union[int, float]", {"type": ["integer", "number"]}), ("str or int", {"type": ["string", "integer"]}),
        ("int|str", {"type": ["integer", "string"]}),
        ("Union[List[int], str]", {"anyOf": [{"type": "array", "items": INTEGER}, STRING]}), ("Union[str, Any]", {}),
        ("Literal['a', 'b']", {"enum": ["a", "b"]}), ("Literal[1, 2]", {}),
        ("Any", {}), ("any", {}), ("Callable", {}), ("Callable[[float], float]", {}), ("np.ndarray", {}), ("", {}), (", optional", {}),
        ("[", {}), ("]", {}), ("List[int", {"type": "array"}),
    ],
)  # fmt: skip
def test_a_type_word_becomes_a_schema(word, schema):
    assert type_schema(word) == schema


@pytest.mark.parametrize(
    ("word", "optional"),
    [("str, optional", True), ("Optional[str]", True), ("List[int], Optional", True), ("str", False), ("optionally", False)],
)
def test_a_word_says_whether_the_argument_may_be_left_out(word, optional):
    assert is_optional(word) is optional


def test_a_word_nested_without_end_states_no_type_from_some_depth_on():
    schema = type_schema("List[" * 5000 + "int" + "]" * 5000)
    for _ in range(17):
        assert schema["type"] == "array"
        schema = schema.get("items", {})
    assert schema == {}


@given(st.text() | st.text("[], |intstrListUnionOptional'", max_size=40))
def test_any_word_gives_a_schema(word):
    assert set(type_schema(word)) <= {"type", "items", "additionalProperties", "anyOf", "enum"}
    assert type_schema(word).get("type", "null") in JSON_TYPES or isinstance(type_schema(word)["type"], list)
    assert is_optional(word) in (True, False)
