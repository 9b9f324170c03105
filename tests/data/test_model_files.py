"""What lies beside a model's weights can be read, or one message names the file."""

import os
import shutil

import pytest

from toolrl.data.model_files import require_readable
from toolrl.data.tokenizer import ChatTokenizer
from toolrl.errors import ConfigError, UserError


@pytest.fixture
def model(tmp_path, byte_tokenizer):
    return shutil.copytree(byte_tokenizer, tmp_path / "model")


def test_a_whole_folder_and_one_without_what_may_be_absent_are_fine(model):
    require_readable(model)
    require_readable(model.parent)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"<html>", b"{" * 20_000, b'{"a": "\xe9"}'])
def test_a_file_of_settings_that_is_no_object_is_named(model, name, content):
    (model / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"model/{name}: .*; put the model's own file back"):
        ChatTokenizer(str(model))


@pytest.mark.parametrize("name", ["generation_config.json", "chat_template.jinja"])
def test_a_pipe_is_not_waited_for_and_a_link_to_nothing_is_not_passed_over(model, name):
    for make in (os.mkfifo, lambda path: path.symlink_to("nothing")):
        (model / name).unlink(missing_ok=True)
        make(model / name)
        with pytest.raises(UserError, match=rf"model/{name}: not a file; put"):
            ChatTokenizer(str(model))


def test_a_chat_template_that_is_no_text_is_named(model):
    (model / "chat_template.jinja").write_bytes(b"{{ x }}\xff")
    with pytest.raises(UserError, match=r"chat_template.jinja: not UTF-8 text \(invalid start byte at byte 7\)"):
        ChatTokenizer(str(model))


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ 1 // 0 }}", "cannot be used .ZeroDivisionError"),
        ("{% for m in messages %}", "cannot be used .TemplateSyntaxError"),
        ("<html>404</html>", "leaves out what is said .a conversation becomes '<html>404</html>'"),
        (" ", "leaves out what is said"),
    ],
)
def test_a_chat_template_that_says_nothing_of_the_conversation_or_fails_is_refused_by_its_file(model, template, said):
    (model / "chat_template.jinja").write_text(template)
    with pytest.raises(ConfigError, match=rf"model/chat_template.jinja: the chat template {said}.*; mend it"):
        ChatTokenizer(str(model))


@pytest.mark.parametrize("content", ["7", "<html>", "[" * 20_000])
def test_a_tokenizer_that_is_no_json_is_named(model, content):
    (model / "tokenizer.json").write_text(content)
    with pytest.raises(UserError, match=r"tokenizer.json: .*; put the model's own file back"):
        ChatTokenizer(str(model))


def test_whatever_transformers_raises_of_a_tokenizer_is_one_line(model):
    text = (model / "tokenizer.json").read_text()
    (model / "tokenizer.json").write_text(text.replace('"merges": []', '"merges": 7'))
    with pytest.raises(
        UserError, match=r"its tokenizer cannot be loaded from tokenizer.json, .*; put the model's own files back"
    ) as caught:
        ChatTokenizer(str(model))
    assert "\n" not in str(caught.value)
