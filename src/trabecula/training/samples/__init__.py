"""What networks are shown while they learn: shards cut from cases once, and samples drawn from these without end."""
