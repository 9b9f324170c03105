"""A server that speaks OpenAI's chat completions and answers multi-turn entries of BFCL as they should be answered."""

import ast
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FakeServer:
    """Knows the right calls of each turn of some entries, and makes them one turn after the other.

    Args:
        questions: Their rows.
        answers: The rows of their answers: calls in Python's syntax, by turn.
        spoilt: Entries whose turns it answers without any call.
        refused: Entry -> status and message of the error it answers with.
        key: What it asks for where it is asked who is there; empty: nothing.
    """

    def __init__(self, questions, answers, *, spoilt=(), refused=(), key=""):
        self._turns = {row["id"]: [turn[0]["content"] if turn else None for turn in row["question"]] for row in questions}
        self._truth = {row["id"]: row["ground_truth"] for row in answers}
        self.spoilt, self.refused = set(spoilt), dict(refused)
        self.requests, self.key = [], key
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                known = not fake.key or self.headers.get("Authorization") == f"Bearer {fake.key}"
                self.send(200 if known else 401, {"object": "list", "data": []})

            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                fake.requests.append((self.path, self.headers.get("Authorization"), asked))
                self.send(*fake.reply(asked))

            def send(self, status, body):
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def reply(self, asked):
        messages, tools = asked["messages"], asked["tools"]
        said = [message["content"] for message in messages if message["role"] == "user"]
        ids = [
            id
            for id, turns in self._turns.items()
            if all(t in (None, s) for t, s in zip(turns, said, strict=False)) and len(turns) >= len(said)
        ]
        for status, why in (self.refused[id] for id in ids if id in self.refused):
            return status, {"error": {"message": why, "type": "error", "code": status}}
        calls = [] if messages[-1]["role"] == "tool" else self._right_calls(ids, len(said) - 1, tools)
        message = {"role": "assistant", "content": None if calls else "Done.", "reasoning": "It is asked for."}
        if calls:
            message["tool_calls"] = [_tool_call(i, call, tools) for i, call in enumerate(calls)]
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
        return 200, {"id": "x", "object": "chat.completion", "created": 0, "model": asked["model"], "choices": [choice], "usage": usage}

    def _right_calls(self, ids, turn, tools):
        """The calls of a turn. Entries of several categories begin alike; where a tool is held back, one without it is meant."""
        if self.spoilt.intersection(ids):
            return []
        offered = {tool["function"]["name"] for tool in tools}
        possible = [self._truth[id][turn] for id in ids]
        return max((calls for calls in possible if {call.partition("(")[0] for call in calls} <= offered), key=len)


def _tool_call(number, call, tools):
    """A call in Python's syntax as OpenAI writes it; arguments without a name are those of the function, in order."""
    node = ast.parse(call, mode="eval").body
    names = [*next(tool["function"]["parameters"]["properties"] for tool in tools if tool["function"]["name"] == node.func.id)]
    arguments = {name: ast.literal_eval(value) for name, value in zip(names, node.args, strict=False)}
    arguments |= {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
    return {"id": f"call-{number}", "type": "function", "function": {"name": node.func.id, "arguments": json.dumps(arguments)}}
