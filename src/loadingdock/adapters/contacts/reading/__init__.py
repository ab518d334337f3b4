"""CSV contacts read and checked in columns, a stream of batches; docs/reference/csv.md says what is taken and what not.

`dialect`, `rules` and `outcome` are plain nouns and cost nothing to import. `reader` brings numpy and pyarrow: import
it where a file is really read.
"""
