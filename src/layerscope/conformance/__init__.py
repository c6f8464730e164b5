"""Check that capture tells the truth about a network, and leaves no trace, against independent computations."""
