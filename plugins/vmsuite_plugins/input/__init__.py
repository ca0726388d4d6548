"""Keys, chords and text: what a suite writes, turned into key presses."""
