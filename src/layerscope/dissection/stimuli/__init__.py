"""What networks are shown to find out what they code: gratings, colours, textures, and the same images scrambled."""
