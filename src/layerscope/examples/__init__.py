"""Files as a user may have them; the tour copies and runs them."""
