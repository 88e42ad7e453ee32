"""Family b: people drawn in another way, for judging what was trained on family a."""
