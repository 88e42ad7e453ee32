"""Diagnose: Readings go in, a Diagnosis comes out."""
