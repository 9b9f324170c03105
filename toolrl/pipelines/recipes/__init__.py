"""Recipes: the rows of a table as steps, what is done of them, and the table that comes out."""
