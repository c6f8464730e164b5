"""The things that scenes show: each is a function that draws its parts with a pen."""
