"""What one position of a tensor sees of the image: arithmetic on the operations that really ran."""
