"""Metrics, their sinks, and the log of rollouts."""
