"""How far a map is right: what the score does when the image, or the scene behind it, is changed where the map says."""
