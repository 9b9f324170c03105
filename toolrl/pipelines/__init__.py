"""What the commands do: they introduce the parts to each other."""
