"""Outputs that an engine gives when it goes wrong in time: functions (outputs, case, run) -> outputs, layout=0.

Directions are independent of each other, so one of them may be taken from another run.  (floor 11)
"""
import numpy as np

from .effects import leave_out


def _find_direction(case, which):
    """The number of the direction that is "forward" or "reverse"; None where there is none."""
    given = case.attributes.get("direction", "forward")
    return ("forward", "reverse").index(which) if given == "bidirectional" else 0 if given == which else None


def get_lengths(case):
    T, B = case.inputs["X"].shape[:2]
    return np.asarray(case.inputs.get("sequence_lens", [T] * B))


def _reverse_rows(a, lengths):
    """[T, B, ...] with every row's live part in the other order."""
    t = np.arange(len(a))[:, None]
    source = np.where(t < lengths, lengths - 1 - t, t)
    return a[source, np.arange(a.shape[1])]


def _replace_direction(outputs, d, values):
    """The outputs with those of direction d replaced by `values`, Y [T, B, H] and states [B, H]."""
    new = {n: a.copy() for n, a in outputs.items()}
    for n, a in values.items():
        new[n][(slice(None), d) if n == "Y" else d] = a
    return new


def exchange_directions(y, case, run):
    """The two directions in each other's place."""
    return {n: a[:, ::-1] if n == "Y" else a[::-1] for n, a in y.items()}


def _select_direction(outputs, d):
    return {n: a[:, d] if n == "Y" else a[d] for n, a in outputs.items()}


def reverse_reading(which):
    def outputs(y, case, run):
        d, lengths = _find_direction(case, which), get_lengths(case)
        if d is None:
            return y
        X = _reverse_rows(case.inputs["X"], lengths)
        other = _select_direction(run(case._replace(inputs=case.inputs | {"X": X})), d)
        return _replace_direction(y, d, other | {"Y": _reverse_rows(other["Y"], lengths)})
    return outputs


def reverse_output(which):
    def outputs(y, case, run):
        d = _find_direction(case, which)
        return y if d is None else _replace_direction(y, d, {"Y": _reverse_rows(y["Y"][:, d], get_lengths(case))})
    return outputs


def _live_mask(case):
    """[T, B, 1]: where a row has not ended."""
    return (np.arange(len(case.inputs["X"]))[:, None] < get_lengths(case))[:, :, None]


def start_in_padding(y, case, run):
    d, whole = _find_direction(case, "reverse"), leave_out("sequence_lens")(case)
    if d is None or whole is None:
        return y
    other = _select_direction(run(whole), d)
    return _replace_direction(y, d, other | {"Y": np.where(_live_mask(case), other["Y"], 0)})


def run_into_padding(y, case, run):
    d, whole = _find_direction(case, "forward"), leave_out("sequence_lens")(case)
    return y if d is None or whole is None else _replace_direction(y, d, {"Y": _select_direction(run(whole), d)["Y"]})


def repeat_last_output(Y, lengths):
    """Y [T, D, B, H] with the last live output of a row in all later steps; nothing where there is none."""
    t = np.minimum(np.arange(len(Y))[:, None], np.maximum(lengths - 1, 0))
    rows = np.moveaxis(Y, 1, 2)                   # [T, B, D, H]
    return np.moveaxis(rows[t, np.arange(len(lengths))], 1, 2)


def replace_forward(y, case, values):
    d = _find_direction(case, "forward")
    return y if d is None else _replace_direction(y, d, {n: a[d] for n, a in values.items()})
