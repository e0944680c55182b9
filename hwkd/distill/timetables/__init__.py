"""What a number is at each epoch or step of a training, from the length alone."""
