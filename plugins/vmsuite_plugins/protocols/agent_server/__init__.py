"""Serves the agents that come from a machine's guest by network: above all its page.

Every machine has a server of its own, with a token of its own, at a socket that only
its guest can reach and a port of the host's loopback.
"""
