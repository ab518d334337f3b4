"""Peers that need a few lines of their own to serve."""
