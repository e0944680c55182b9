"""Decoders of text that become smaller: cut by what they do on text, then taught by the whole."""
