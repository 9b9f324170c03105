"""A row of BFCL as `toolrl score --mode bfcl` reads it, to be changed."""

FUNCTION = {
    "name": "f",
    "description": "",
    "parameters": {"type": "dict", "properties": {"city": {"type": "string"}, "days": {"type": "float"}}, "required": ["city"]},
}


def bfcl(**changes):
    truth = [{"f": {"city": ["Paris", "Paris, France"], "days": ["", 3.0]}}]
    made = {"id": "b", "category": "simple_python", "function": [FUNCTION], "ground_truth": truth, "calls": [called(city="Paris")]}
    return {key: value for key, value in (made | changes).items() if value is not ...}


def called(**arguments):
    return {"name": "f", "arguments": arguments}
