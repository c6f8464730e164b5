"""Look inside a network while it runs: activations, layers, receptive fields, units."""
