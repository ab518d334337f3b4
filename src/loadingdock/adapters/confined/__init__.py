"""Child processes with limits, for code that meets hostile bytes.

Parsers written in C, and any parser fed with a bomb, may crash, hang or eat the machine. They run in a child that may
use only so much memory and time, that can write no large file, that has none of the service's secrets in its
environment and that dies with its parent. `pool` is the parent's side, `child` the child's, which starts without what
only its parent needs.
"""
