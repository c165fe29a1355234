"""Training, evaluating and predicting: everything that runs a network."""
