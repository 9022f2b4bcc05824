"""Outputs that an engine gives when it goes wrong in time: functions (outputs, case, run) -> outputs, layout=0.

Directions are independent of each other, so one of them may be taken from another run.  (floor 11)
"""
import numpy as np

from .misread import without


def direction_of(case, which):
    """The number of the direction that is "forward" or "reverse"; None where there is none."""
    given = case.attributes.get("direction", "forward")
    return ("forward", "reverse").index(which) if given == "bidirectional" else 0 if given == which else None


def lengths_of(case):
    T, B = case.inputs["X"].shape[:2]
    return np.asarray(case.inputs.get("sequence_lens", [T] * B))


def flip(a, lengths):
    """[T, B, ...] with every row's live part in the other order."""
    t = np.arange(len(a))[:, None]
    source = np.where(t < lengths, lengths - 1 - t, t)
    return a[source, np.arange(a.shape[1])]


def put(outputs, d, values):
    """The outputs with those of direction d replaced by `values`, Y [T, B, H] and states [B, H]."""
    new = {n: a.copy() for n, a in outputs.items()}
    for n, a in values.items():
        new[n][(slice(None), d) if n == "Y" else d] = a
    return new


def exchanged(y, case, run):
    """The two directions in each other's place."""
    return {n: a[:, ::-1] if n == "Y" else a[::-1] for n, a in y.items()}


def only(outputs, d):
    return {n: a[:, d] if n == "Y" else a[d] for n, a in outputs.items()}


def reread(which):
    def outputs(y, case, run):
        d, lengths = direction_of(case, which), lengths_of(case)
        if d is None:
            return y
        X = flip(case.inputs["X"], lengths)
        other = only(run(case._replace(inputs=case.inputs | {"X": X})), d)
        return put(y, d, other | {"Y": flip(other["Y"], lengths)})
    return outputs


def flipped(which):
    def outputs(y, case, run):
        d = direction_of(case, which)
        return y if d is None else put(y, d, {"Y": flip(y["Y"][:, d], lengths_of(case))})
    return outputs


def live(case):
    """[T, B, 1]: where a row has not ended."""
    return (np.arange(len(case.inputs["X"]))[:, None] < lengths_of(case))[:, :, None]


def from_padding(y, case, run):
    d, whole = direction_of(case, "reverse"), without("sequence_lens")(case)
    if d is None or whole is None:
        return y
    other = only(run(whole), d)
    return put(y, d, other | {"Y": np.where(live(case), other["Y"], 0)})


def running_on(y, case, run):
    d, whole = direction_of(case, "forward"), without("sequence_lens")(case)
    return y if d is None or whole is None else put(y, d, {"Y": only(run(whole), d)["Y"]})


def repeated(Y, lengths):
    """Y [T, D, B, H] with the last live output of a row in all later steps; nothing where there is none."""
    t = np.minimum(np.arange(len(Y))[:, None], np.maximum(lengths - 1, 0))
    rows = np.moveaxis(Y, 1, 2)                   # [T, B, D, H]
    return np.moveaxis(rows[t, np.arange(len(lengths))], 1, 2)


def forward_only(y, case, values):
    d = direction_of(case, "forward")
    return y if d is None else put(y, d, {n: a[d] for n, a in values.items()})
