"""Command line, files and environment of a server."""

import json

import pytest

from toolrl.errors import UserError
from toolrl.serving.settings import is_loopback, stop_ids


def test_the_key_is_in_the_environment_and_never_on_the_command_line(tmp_path, make_server_settings):
    settings = make_server_settings()
    variables = settings.variables("s3cret", {"PATH": "/bin", "VLLM_SERVER_DEV_MODE": "1"})
    assert variables["VLLM_API_KEY"] == "s3cret"
    assert variables["PATH"] == "/bin"
    assert "VLLM_SERVER_DEV_MODE" not in variables
    assert not any("s3cret" in word for word in settings.arguments(tmp_path))
    assert "VLLM_API_KEY" not in settings.variables("", {"VLLM_API_KEY": "somebody's"})


def test_the_server_reads_its_chat_template_and_stops_at_our_tokens_without_the_models_sampling_defaults(tmp_path, make_server_settings):
    settings = make_server_settings()
    settings.write(tmp_path)
    arguments = settings.arguments(tmp_path)
    assert (tmp_path / "chat_template.jinja").read_text() == "{{ messages }}"
    assert json.loads((tmp_path / "generation_config.json").read_text()) == {"eos_token_id": [7, 9]}
    assert f"--chat-template={tmp_path / 'chat_template.jinja'}" in arguments
    assert f"--generation-config={tmp_path}" in arguments


def test_memory_for_keys_and_values_is_set_on_cpu_and_left_to_vllm_on_gpu(tmp_path, make_server_settings):
    assert f"--kv-cache-memory-bytes={2**27}" in make_server_settings().arguments(tmp_path)
    on_gpu = make_server_settings(device="cuda").arguments(tmp_path)
    assert not any("kv-cache-memory" in word for word in on_gpu)
    assert "--gpu-memory-utilization=0.5" in on_gpu


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:1/v1"),
        ("::1", "http://[::1]:1/v1"),
        ("0.0.0.0", "http://127.0.0.1:1/v1"),
        ("box", "http://box:1/v1"),
    ],
)
def test_the_url_is_one_that_a_client_on_this_machine_can_use(make_server_settings, host, url):
    assert make_server_settings(host=host, port=1).url == url


def test_only_addresses_of_this_machine_are_loopback():
    assert [is_loopback(host) for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "box", "localhost.evil.org")] == [False] * 5


@pytest.mark.parametrize(("named", "expected"), [(None, (7, 8)), (5, (7, 8, 5)), ([8, 5], (7, 8, 5)), ("absent", (7, 8))])
def test_an_answer_ends_where_turns_end_and_where_the_models_folder_says(tmp_path, named, expected):
    if named != "absent":
        (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": named}))
    assert stop_ids(tmp_path, (7, 8)) == expected


@pytest.mark.parametrize("ends", ['"</s>"', "[1, null]", "true", "-1", "1.5"])
def test_an_end_of_an_answer_that_is_no_token_id_is_refused_by_its_file(tmp_path, ends):
    (tmp_path / "generation_config.json").write_text(f'{{"eos_token_id": {ends}}}')
    with pytest.raises(UserError, match=r"generation_config.json: eos_token_id: got .*; put the model's own file back"):
        stop_ids(tmp_path, (7,))
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [9, 7]}')
    assert stop_ids(tmp_path, (7,)) == (7, 9)
    (tmp_path / "generation_config.json").unlink()
    assert stop_ids(tmp_path, (7,)) == (7,)
