"""python -m rnnref  (floor 12)"""
import sys

from .cli import main

sys.exit(main())
