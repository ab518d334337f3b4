"""Files of contacts read and loaded in processes of their own, which end when ours does.

A load keeps a core busy for seconds and takes some 200 MiB: neither the interpreter's lock nor the memory of whoever
serves requests is to feel it. `importer` is the parent's side and brings neither numpy nor pyarrow; `child` is the
other, and starts without asyncio.
"""
