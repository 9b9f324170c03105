"""BFCL, the Berkeley Function Calling Leaderboard, by our rules and by its own.

questions ─> Items ─> answers ─┬─ rules     our verdicts, in process
└─ results ─> process ─> foreign/run_official.py ─> scores: the official ones
environment: the virtual environment that holds bfcl-eval, made once; nothing of it is ever imported here
multi_turn:  a served model, driven and judged by upstream's own programs
"""
