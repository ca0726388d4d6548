"""The page that tells what input a guest's browser gets."""
