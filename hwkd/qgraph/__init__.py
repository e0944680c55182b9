"""The quantised graph of an int8 ONNX file: what the C and the TFLite file are made of."""
