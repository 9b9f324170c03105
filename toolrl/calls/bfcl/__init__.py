"""The verdict of BFCL's AST checker: calls against the values that are accepted, by the declared type of each argument.

    predicted, accepted, tools ─ checker ─> None, or the Fault that a person would name
                       declared: the type of an argument, from its schema and language
                       values:   one value against the accepted ones
                       java, javascript: text that holds a literal -> the value it stands for

The benchmark's rules are kept exactly, surprising ones included, but for one: it takes the first answer that fits each
call, so that the order of calls can matter; here a maximum matching decides and the order never does.
"""

from toolrl.calls.bfcl.accepted import accepted_of
from toolrl.calls.bfcl.checker import bfcl_accepts, explain_bfcl

__all__ = ["accepted_of", "bfcl_accepts", "explain_bfcl"]
