"""Parts of `toolrl export`."""
