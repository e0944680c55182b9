"""Where ONNX Runtime is started."""
