"""How fast, beside whom: ratios on one machine in one go. `make bench`, or `python -m bench --help`."""
