"""Measure: how dense each vertebra is. Scan, Spine, Regions and Calibration go in, Readings come out."""
