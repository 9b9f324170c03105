"""A fuzzer for everything that reads a model's text: `PYTHONPATH=tests/fuzz python -m fuzzer --inputs 1000000`."""
