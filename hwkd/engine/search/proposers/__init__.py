"""What chooses candidates, one file each; `--sampler` takes the name of the file."""
