"""Mutated files: small valid originals, seeded ways to break them, the commands that read them, and what these must do then."""
