"""Raw rows to prompts: readers, filters, split, draws, chat template, tokenizer."""
