"""Indexing: photos are hashed, decoded, analysed and recorded, by worker processes within a memory limit."""
