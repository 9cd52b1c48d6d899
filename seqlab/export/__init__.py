"""Trained models as ONNX graphs, with the front end inside."""
