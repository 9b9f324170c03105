"""Model loading, packing, and the DeepSpeed engine."""
