"""`toolrl replay`: what must be trained again, the batches as they were, and the page."""
