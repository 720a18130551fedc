"""What every part asks of file systems and names; knows nothing of faces."""
