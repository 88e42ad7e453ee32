"""From virtual patients to weights: one loop, its losses, and the export to ONNX."""
