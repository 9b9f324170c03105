"""The benchmarks that the contamination guard knows: readers of their files, and their fingerprints, which hold none of their text."""
