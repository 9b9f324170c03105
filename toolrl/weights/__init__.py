"""Weights from the learner to the engines: source, transport, order of a push, proof."""
