"""Helpers for file systems and file names; know nothing of faces."""
