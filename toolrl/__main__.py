"""`python -m toolrl` is `toolrl`."""

from __future__ import annotations

import sys

from toolrl.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
