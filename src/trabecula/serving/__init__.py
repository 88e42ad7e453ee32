"""Doors to the one line: arguments in, files and exit codes out. Nothing medical is decided here."""
