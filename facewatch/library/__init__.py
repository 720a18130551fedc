"""The photo libraries: which there are, what is in them, and how that differs from the catalog."""
