"""The serving half of Sightline: ONNX models behind typed HTTP endpoints."""

__version__ = "0.1.0"
