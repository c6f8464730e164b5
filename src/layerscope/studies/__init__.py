"""The jobs people come for; they never import each other."""
