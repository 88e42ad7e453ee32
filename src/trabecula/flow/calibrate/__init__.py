"""Calibrate: from HU to density. A Scan, its Spine and Regions go in, a Calibration comes out."""
