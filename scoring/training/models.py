"""Training runs are jobs of the registry; nothing else is kept here yet."""
