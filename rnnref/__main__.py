"""`python -m rnnref`: the command `rnnref`."""
import sys

from .cli import main

sys.exit(main())
