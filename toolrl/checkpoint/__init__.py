"""The atomic store, and export to Hugging Face."""
