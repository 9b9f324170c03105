"""toolrl: train language models to call tools by reinforcement learning with a verifiable reward."""

__version__ = "0.1.0"
