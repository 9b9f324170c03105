"""ACEBench (English): single answers to single and multi-turn questions, by our rules and by upstream's, side by side.

categories  names, groups and averages
questions   files ─> questions: the prompt of training, the answers that are right
rules       upstream's rules for calls, written anew: lenient, and in places stricter than the labels
sentences   the categories in which no call is right, and upstream's rules for what is said instead
benchmark   both verdicts on a completion
"""
