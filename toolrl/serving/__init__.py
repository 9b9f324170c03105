"""A trained model behind vLLM's OpenAI-compatible server."""
