"""What a first run has shown, in a page."""
LONGEST, LINE, LINES = 11000, 300, {"bench": 24}  # characters; of a line; lines of a part, else 16
HEADS = {"environment": "on", "compile": "kernels", "smoke": "right?", "bench": "ms", "note": "parts"}


def shortened(words, most):
    return words if len(words) <= most else words[:most - 3] + "..."


def of_checks(rows):
    """Lines of cases that were held to float64."""
    checked = [row for row in rows if "wrong" in row]
    right = [row for row in checked if row["wrong"] is None]
    yield f"{len(right)} of {len(checked)} right" + "".join(
        f"; farthest {way} {max(row[way] for row in right):.1e}" for way in ("ahead", "back") if right)
    yield from (f"{row['case']}: {row['wrong']}" for row in checked if row["wrong"])
    yield from missing(rows)


def missing(rows):
    yield from (f"{row.get('case') or row.get('kernel')}: {row['failed']}" for row in rows
                if row.get("failed") and ("case" in row or "kernel" in row) and "forward" not in row)
    yield from (f"left out: {', '.join(row['left_out'])}" for row in rows if "left_out" in row)


def of_times(rows):
    """A line a case: milliseconds, and how many times as long the others take."""
    for row in rows:
        if "forward" in row:
            words = []
            for what in ("forward", "training"):
                words.append(what + " " + " ".join(f"{who}={ms:.3g}" for who, ms in row[what].items()))
                words.append(" ".join(f"{who}/ours={r:.2f}" for who, r in row.get(what + ", ratios", {}).items()))
            words += [f"failed: {', '.join(row['failed'])}"] if "failed" in row else []
            yield f"{row['case']}: {' | '.join(words)}"
    yield from missing(rows)


def of_facts(rows):
    for row in rows:
        yield ", ".join(f"{name} {value}" for name, value in row.items() if name not in ("part", "at"))


def summary(found):
    """found: {part: rows} as results.read() has them."""
    form = {"smoke": of_checks, "bench": of_times}
    lines = []
    for part in (*HEADS, *(part for part in found if part not in HEADS)):
        if part in found:
            every, most = list(form.get(part, of_facts)(found[part])), LINES.get(part, 16)
            lines.append(f"-- {part}: {HEADS.get(part, '')}".rstrip(": "))
            lines += (shortened(line, LINE) for line in every[:most])
            lines += [f"... and {len(every) - most} more"] * (len(every) > most)
    return "\n".join(lines)[:LONGEST]
