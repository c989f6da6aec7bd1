"""`python -m server` is `okaeri`."""

from server.cli import main

main()
