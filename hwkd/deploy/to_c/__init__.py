"""int8 ONNX to C: reads the quantised graph, plans its memory and writes sources."""
