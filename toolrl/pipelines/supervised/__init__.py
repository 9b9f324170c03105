"""The parts of `toolrl sft`: what it learns from, who takes part, and what it says."""
