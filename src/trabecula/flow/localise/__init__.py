"""Localise: which vertebrae are in view, and where. A Scan goes in, a Spine comes out."""
