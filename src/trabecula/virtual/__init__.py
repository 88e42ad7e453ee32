"""Virtual patients with exact truth. Nothing here knows the flow that is judged on them."""

GENERATOR_VERSION = 3
"""Grows whenever the same seed gives another person or scan; 1 had no true thorax, 2 drew a phantom's rods as if they
lay within the spine."""
