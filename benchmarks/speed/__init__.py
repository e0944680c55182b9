"""How many steps the searches take; commands of the form `python -m benchmarks.speed.NAME`."""
