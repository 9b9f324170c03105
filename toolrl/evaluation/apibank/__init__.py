"""API-Bank: every call of its dialogues, written from the true history.

dialogues  files ─> steps: a history, the APIs on offer, the call that follows and what came of it
items      steps ─> Items, and the labels that contradict themselves
benchmark  our verdicts, and those of upstream's own code, which executes the calls
"""
