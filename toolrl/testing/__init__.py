"""Public fakes, and a tiny model."""
