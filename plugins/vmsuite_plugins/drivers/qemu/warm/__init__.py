"""Warm templates of QEMU machines: made once, kept on disk, forked for each case."""
