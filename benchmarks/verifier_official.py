"""The official checker at work in its own interpreter, one core: `python verifier_official.py ITEMS`, started by `verifier.py`.

ITEMS is a JSON file: {group: [{category, function, ground_truth, text}]}. For each group named on a line of stdin, every item is decoded
(`default_decode_ast_prompting`, which evaluates the text's literals) and checked (`ast_checker`), and a line of stdout says
`{"seconds": …, "valid": [...]}`.
"""

import json
import sys
import time
import types
from pathlib import Path


def stand_in() -> None:
    """Without the vendors' SDKs the table of models cannot be imported; the checker asks it one thing."""
    table = types.ModuleType("bfcl_eval.constants.model_config")
    table.MODEL_CONFIG_MAPPING = {"any": types.SimpleNamespace(underscore_to_dot=False)}
    sys.modules[table.__name__] = table


def main() -> None:
    stand_in()
    from bfcl_eval.constants.enums import Language
    from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker
    from bfcl_eval.model_handler.utils import default_decode_ast_prompting

    def verdict(item) -> bool:
        try:
            calls = default_decode_ast_prompting(item["text"])
            return ast_checker(item["function"], calls, item["ground_truth"], Language.PYTHON, item["category"], "any")["valid"]
        except Exception:  # noqa: BLE001 what it cannot decode, or fails on, is not valid
            return False

    groups = json.loads(Path(sys.argv[1]).read_text())
    print("ready", flush=True)
    for line in sys.stdin:
        items = groups[line.strip()]
        start = time.process_time()
        valid = [verdict(item) for item in items]
        print(json.dumps({"seconds": time.process_time() - start, "valid": valid}), flush=True)


if __name__ == "__main__":
    main()
