"""Virtual patients held against what is known of real ones: ``python -m trabecula.evaluation.world``."""
