"""The parts of `toolrl doctor`."""
