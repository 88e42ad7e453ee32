"""DICOM instances to a scan: ``reader.read_dicom`` is the door, the other modules are its parts in order.

files (open one, bounded by parts) -> planes (its geometry) -> series (group, split, rank) -> stack (volume, from
pixels).
"""
