"""Loadingdock: one self-hosted service that takes files in, speaking published upload APIs word for word."""

__version__ = "0.1.0"
