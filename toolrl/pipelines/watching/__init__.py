"""A run looked at while it goes on, from its folder alone: what is read, what is kept of it, and how it is shown in a terminal."""
