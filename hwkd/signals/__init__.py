"""From raw samples to the inputs of a network: steps in NumPy, and the same in C99."""
