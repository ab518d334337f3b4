"""What the core asks of the world, a module a subject. Each docstring is an obligation; `loadingdock.testing` holds
adapters to it.

Every port may raise `Unavailable` naming its role when what it stands on cannot be reached, and `StorageFull` when
there is no room. No other engine error leaves an adapter.
"""
