"""Measured numbers beside those that the plan goes by, and results of a card stored with what they depend on.

    python -m tests.bench.measured build/first            # of a first run or a probe: the folder that OUT named
    python -m tests.bench.measured build/first --store    # and stored in tests/bench/results, a file for card and day

The constants of rnnref/cuda_loops/tiling.py and choice.py are then replaced by hand by those printed here, with the
name of the file in their comment; tests.support.readme_tables and the tests of tilings show what changes with them.
"""
import argparse
import json
import re
import time
from pathlib import Path

from rnnref.cuda_loops import choice, tiling

RESULTS = Path(__file__).parent / "results"


def rows_of(folder):
    """All lines of all files in the folder, those that name no part by the name of their file."""
    found = []
    for path in sorted(Path(folder).glob("*.jsonl")):
        for line in path.read_text().splitlines():
            try:
                row = json.loads(line)
            except ValueError:                    # a process was killed while it wrote
                continue
            found.append({"part": path.stem.split("-")[0], **row})
    return found


def barriers(rows):
    """{blocks of a cluster: microseconds of its barrier}, with the most clusters that were timed side by side."""
    found: dict = {}
    for row in rows:
        named = re.fullmatch(r"probe_cluster_barrier<(\d+)> x (\d+)", str(row.get("what")))
        if named and "value" in row:
            blocks, clusters = map(int, named.groups())
            found[blocks] = max(found.get(blocks, (0, 0)), (clusters, row["value"]))
    return {blocks: round(us, 3) for blocks, (_, us) in sorted(found.items())}


def constants(rows):
    """(where, the constant as it is, as measured) of all that was measured."""
    measured = barriers(rows)
    if measured:
        known = tiling._BARRIER_MICROSECONDS
        yield "tiling._BARRIER_MICROSECONDS", known, {1: known[1], **measured}
    for row in rows:
        if row.get("what") == "node of a graph" and "value" in row:
            yield "choice.LAUNCH_MICROSECONDS", choice.LAUNCH_MICROSECONDS, round(row["value"], 2)


def steps(rows):
    """(case, way, estimated, measured) microseconds of a step of kernels alone."""
    for row in rows:
        for way, (us, _) in row.get("microseconds", {}).items() if row["part"] == "alone" else ():
            if way in row["estimates"]:
                yield row["case"], way, row["estimates"][way], us


def about(rows):
    """Card, driver and versions, without which results are not stored."""
    for row in rows:
        said = row.get("about") or (row["part"] == "environment" and row)
        if said and said.get("card"):
            return said
    raise SystemExit("no card is named in these results: nothing is stored")


def store(rows, folder=RESULTS):
    folder.mkdir(exist_ok=True)
    card = re.sub(r"\W+", "-", about(rows)["card"])
    path = folder / f"{card}-{time.strftime('%Y%m%d')}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ({"part": "about", **about(rows)}, *rows)))
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--store", action="store_true")
    given = parser.parse_args()
    rows = rows_of(given.folder)
    for where, now, measured in constants(rows):
        print(f"{where} = {now}  # measured: {measured}")
    for case, way, estimated, us in steps(rows):
        print(f"{case}, {way}: estimated {estimated:.2f} us, measured {us:.2f}, {us / estimated:.2f} times as long")
    if given.store:
        print("stored in", store(rows))


if __name__ == "__main__":
    main()
