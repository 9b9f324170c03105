"""A small folder of upstream's shape, written by hand: what `ApiBankBenchmark` and `Checkout` are tested with."""

API = """
class API:
    pass
"""

MANAGER = """
import importlib, json, os
from apis import API
print("upstream prints to standard output")

class ToolManager:
    def __init__(self):
        self.databases, self.kinds, self.tools = {}, {}, {}
        for file in sorted(os.listdir("./init_database")):
            with open("./init_database/" + file) as text:
                self.databases[file[:-5]] = json.load(text)
        for file in sorted(os.listdir("./apis")):
            if file.endswith(".py") and file != "__init__.py":
                module = importlib.import_module("apis." + file[:-3])
                self.kinds.update({n: k for n, k in vars(module).items() if isinstance(k, type) and issubclass(k, API) and k is not API})

    def init_tool(self, name):
        if name not in self.tools:
            kind = self.kinds[name]
            self.tools[name] = kind(self.databases[kind.database_name]) if hasattr(kind, "database_name") else kind()
        return self.tools[name]

    def api_call(self, tool_name, **arguments):
        wanted = self.kinds[tool_name].input_parameters
        for name, value in arguments.items():
            assert name in wanted, "invalid parameter name"
            if wanted[name]["type"] == "int":
                assert value.isdigit(), "invalid parameter type"
                arguments[name] = int(value)
        return self.init_tool(tool_name).call(**arguments)
"""

BOOK = """
from apis import API

class BookRoom(API):
    input_parameters = {"hotel": {"type": "str"}, "rooms": {"type": "int"}}
    database_name = "Hotels"

    def __init__(self, database):
        self.database = database

    def call(self, hotel, rooms):
        given = {"hotel": hotel, "rooms": rooms}
        free = self.database[hotel] - rooms
        self.database[hotel] = free  # the next call must find the rooms free again
        if free < 0:
            return {"api_name": "BookRoom", "input": given, "output": None, "exception": "No room left."}
        return {"api_name": "BookRoom", "input": given, "output": f"{free} left", "exception": None}

    def check_api_call_correctness(self, response, groundtruth):
        return response["output"] == groundtruth["output"] and response["input"]["hotel"].lower() == groundtruth["input"]["hotel"].lower()
"""

TROUBLE = """
import os, sys, time
from apis import API
from a_package_that_nobody_has import Model

class Raises(API):
    input_parameters = {"how": {"type": "str"}}

    def call(self, how):
        if how == "hang":
            time.sleep(600)
        if how == "exit":
            sys.exit(3)
        if how == "die":
            os._exit(3)
        if how == "print":
            print('{"id": "x", "right": true, "why": ""}')
        if how == "raise":
            raise RuntimeError("upstream's own")
        return {"output": how}

    def check_api_call_correctness(self, response, groundtruth):
        return response["output"] == groundtruth["output"]

class Searches(API):
    input_parameters = {"keywords": {"type": "str"}}

    def call(self, keywords):
        return {"output": Model("small").search(keywords)}

    def check_api_call_correctness(self, response, groundtruth):
        return True
"""


def make_upstream(folder):
    """Write the folder: `BookRoom` works, `Raises` does what its argument says, `Searches` wants a package that is not there."""
    for name in ("apis", "init_database"):
        (folder / name).mkdir(parents=True)
    (folder / "tool_manager.py").write_text(MANAGER)
    (folder / "apis" / "__init__.py").write_text(API)
    (folder / "apis" / "book_room.py").write_text(BOOK)
    (folder / "apis" / "trouble.py").write_text(TROUBLE)
    (folder / "init_database" / "Hotels.json").write_text('{"Ritz": 3}')
    return folder
