"""File events become settled paths, and those the work of the pipeline, for as long as the watcher runs."""
