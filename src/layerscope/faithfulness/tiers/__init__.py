"""Networks built so that what speaks for a class is known, with images for them: no training, no guess."""
