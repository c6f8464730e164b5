"""How right a map is: measures by parts, by regions, by curves and by what a map does when it is asked again."""
