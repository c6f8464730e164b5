"""Pictures that climb an objective: parametrisations, transforms, recipes, the ascent, and how far to trust it."""
