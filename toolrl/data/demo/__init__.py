"""The demo task: function-calling requests composed from a small vocabulary, made on the fly and never read from a file."""
