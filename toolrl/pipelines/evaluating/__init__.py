"""The parts of `toolrl evaluate`: its folder, its scores, its page."""
