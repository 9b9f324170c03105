"""Ray implementations of the seams: the only package that imports ray."""
