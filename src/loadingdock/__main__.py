"""`python -m loadingdock` is `loadingdock`."""

from loadingdock.cli import main

main()
