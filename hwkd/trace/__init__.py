"""Reads ONNX files into operator graphs."""
