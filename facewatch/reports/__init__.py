"""Status, statistics and metrics as values."""
