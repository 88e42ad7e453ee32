"""Segment: the trabecular bone of each vertebra. A Scan and its Spine go in, Regions come out."""
