"""File formats: the grid as given and back, zip archives, NIfTI and NRRD."""
