"""Files that leave the laptop: ONNX, int8, bundles."""
