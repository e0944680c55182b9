"""One file for each maker of samples; see `hwkd.distill.maker`."""
