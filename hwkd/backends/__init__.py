"""How devices are costed, one module for each way; a device file names one in `costed_by`."""
