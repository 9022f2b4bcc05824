"""`make bench-loops`."""
from tests.bench.loop_ratios import main

if __name__ == "__main__":
    main()
