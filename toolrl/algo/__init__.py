"""Advantages and losses: pure functions. One small file for each choice, and a door that a setting opens to one of them."""
