"""Trabecula reads the bone density that is already in any CT."""

from importlib.metadata import version

__version__ = version("trabecula")
