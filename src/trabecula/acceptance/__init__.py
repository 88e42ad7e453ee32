"""A site takes Trabecula into use: what its physicist measures, what limits it meets, and what drifts afterwards."""
