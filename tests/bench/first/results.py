"""Results of a first run: lines of JSON in one file, from all of its processes."""
import json
import os
import time
from pathlib import Path


def folder():
    return Path(os.environ.get("OUT") or "build/first")


def add(part, **fields):
    """On disk when it returns, whatever becomes of the process."""
    folder().mkdir(parents=True, exist_ok=True)
    with open(folder() / "results.jsonl", "a") as f:
        f.write(json.dumps({"part": part, "at": time.strftime("%H:%M:%S"), **fields}, default=str) + "\n")


def read():
    """{part: its rows}; a line that a killed process left unfinished is left out."""
    found: dict = {}
    path = folder() / "results.jsonl"
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found.setdefault(row["part"], []).append(row)
    return found


def short(e):
    return f"{type(e).__name__}: {' '.join(str(e).split())[:300]}"
