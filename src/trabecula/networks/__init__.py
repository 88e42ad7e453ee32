"""The torch definitions of the networks. Training only: screening runs their ONNX export."""
