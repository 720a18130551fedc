"""The watcher: file events, debounced, start the pipeline's work for as long as it runs."""
