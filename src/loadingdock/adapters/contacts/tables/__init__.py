"""Contact tables as real tables: their making and altering, their rows read, found, exported and deleted."""
