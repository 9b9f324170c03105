"""Upstream's own code, from a folder that the user names, in a process of its own."""
