"""Device descriptors, one TOML file each; import as `hwkd.devices` only."""

if __name__ != "hwkd.devices":  # a second copy of the package would have its own state
    raise ImportError("import hwkd.devices, not devices: run `pip install -e .` in the checkout")
