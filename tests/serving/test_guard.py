"""The key is asked for on every path but /health."""

import asyncio

import pytest

from toolrl.serving.guard import RequireKey


def asked(monkeypatch, path, *, key="k", headers=(), kind="http"):
    """Events that a request brings about: `passed` where the server behind it sees it."""
    monkeypatch.setenv("VLLM_API_KEY", key)
    events = []

    async def app(scope, receive, send):
        events.append("passed")

    async def send(event):
        events.append(event.get("status") or event["type"])

    asyncio.run(RequireKey(app)({"type": kind, "path": path, "headers": list(headers)}, None, send))
    return events


@pytest.mark.parametrize("path", ["/v1/models", "/invocations", "/metrics", "/tokenize", "/", "/healthy", "/v1/../health"])
def test_without_the_key_nothing_is_reached(monkeypatch, path):
    for headers in ([], [(b"authorization", b"Bearer no")], [(b"authorization", b"k")], [(b"authorization", b"Bearer ")]):
        assert asked(monkeypatch, path, headers=headers) == [401, "http.response.body"]
    assert asked(monkeypatch, path, kind="websocket") == ["websocket.close"]


def test_with_the_key_everything_is_reached_and_health_without(monkeypatch):
    assert asked(monkeypatch, "/v1/models", headers=[(b"x", b"y"), (b"authorization", b"bearer k")]) == ["passed"]
    assert asked(monkeypatch, "/health") == ["passed"]
    assert asked(monkeypatch, "/metrics", key="") == ["passed"]
