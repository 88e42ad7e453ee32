"""An assessment as a folder that a person and a program can read."""
