"""Checked contacts applied to their table: by sorted batches, in one transaction, every record accounted for.

`postgres` and `sqlite` bring pyarrow and numpy: import them where a file is really loaded.
"""
