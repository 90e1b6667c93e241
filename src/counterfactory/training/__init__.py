"""One loop trains every network of the project."""
