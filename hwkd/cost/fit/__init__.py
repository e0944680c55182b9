"""Fits latency coefficients to measurements; needs numpy and scipy, which estimating does not."""
