"""Networks, runs and records that tests of several subjects share."""
