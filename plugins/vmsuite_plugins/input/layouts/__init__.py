"""Keyboard layouts of X11 and Wayland: every text that a guest's keyboard can type."""
