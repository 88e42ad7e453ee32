"""Published systems as data: which function does each stage, with which settings."""
