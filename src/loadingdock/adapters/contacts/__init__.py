"""Contacts: reading and checking CSV; loading into tables."""
