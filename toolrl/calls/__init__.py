"""Text to tool calls, and calls compared with a reference: parse, match, schema, render."""
