"""Exported models at work, with NumPy and onnxruntime and without torch."""
