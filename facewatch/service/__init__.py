"""Work on a whole catalog that has not found its floor yet."""
