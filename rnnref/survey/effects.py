"""The effect of a fault: on the case that an engine seems to compute, or on the outputs that it returns.

Effects on a case are functions case -> case, or None where the case would not change.  Effects on outputs are functions
(outputs, case, run) -> outputs with layout=0, where run(case) is the reference.  The two directions are independent of
each other, so the outputs of one may come from another run.
"""
from typing import Callable, Optional

import numpy as np

from ..arrays import Array
from .cases import GATES, SCALES, Case, Outputs, swap_batch_and_time

CaseEffect = Callable[[Case], Optional[Case]]
Run = Callable[[Case], Outputs]
OutputEffect = Callable[[Outputs, Case, Run], Outputs]


# effects on a case

def to_time_first(case: Case) -> Case:
    """The same computation with layout=0."""
    attributes = {n: v for n, v in case.attributes.items() if n != "layout"}
    return swap_batch_and_time(case)._replace(attributes=attributes)      # swapping two axes is its own inverse


def leave_out(*names: str) -> CaseEffect:
    """The case without these inputs and attributes; None where it has none of them."""
    def effect(case: Case) -> Optional[Case]:
        if not any(n in case.inputs or n in case.attributes for n in names):
            return None
        inputs, attributes = ({n: v for n, v in d.items() if n not in names} for d in (case.inputs, case.attributes))
        return case._replace(inputs=inputs, attributes=attributes)
    return effect


def exchange_initial_states(case: Case) -> Case:
    """initial_h as initial_c, and the other way round."""
    h, c = case.inputs.get("initial_h"), case.inputs.get("initial_c")
    swapped = {"initial_h": c, "initial_c": h}
    return case if h is c else case._replace(inputs=case.inputs | {n: a for n, a in swapped.items() if a is not None})


def zero_missing_scales(*attributes: str) -> CaseEffect:
    """The case with 0 for every value that activation_alpha or activation_beta leaves out."""
    def effect(case: Case) -> Optional[Case]:
        names, lists = case.attributes.get("activations", []), {}
        for attribute in attributes:
            values = list(case.attributes.get(attribute, []))
            missing = sum(n in SCALES[attribute] for n in names) - len(values)
            if missing > 0:
                lists[attribute] = values + [0.0] * missing
        return case._replace(attributes=case.attributes | lists) if lists else None
    return effect


def repeat_activations(case: Case) -> Optional[Case]:
    """The activations, alpha and beta of the first direction for the second one too."""
    names = case.attributes.get("activations", [])
    first = names[:len(names) // 2]
    if case.attributes.get("direction") != "bidirectional":
        return None
    new = {"activations": list(first) * 2}
    for attribute, takers in SCALES.items():
        if attribute in case.attributes:
            new[attribute] = list(case.attributes[attribute])[:sum(f in takers for f in first)] * 2
    return None if case.attributes == case.attributes | new else case._replace(attributes=case.attributes | new)


def zero_bias_half(half: int) -> CaseEffect:
    """The case with zeros in the first or the second half of B, [Wb, Rb]."""
    def effect(case: Case) -> Optional[Case]:
        if "B" not in case.inputs:
            return None
        B = case.inputs["B"].copy()
        B.reshape(len(B), 2, -1)[:, half] = 0
        return case._replace(inputs=case.inputs | {"B": B})
    return effect


def _split_blocks(name: str, a: Array, op: str) -> Array:
    """An array of weights as [directions, blocks, ...]; B has the gates twice."""
    return a.reshape(len(a), {"P": 3, "B": 2 * GATES[op]}.get(name, GATES[op]), -1, *a.shape[2:])


def reorder_blocks(names: str, order: list[int]) -> CaseEffect:
    """The case with the gate blocks of an engine that reads block order[k] in the place of block k."""
    def effect(case: Case) -> Optional[Case]:
        new = {}
        for name in set(names) & set(case.inputs):
            a = _split_blocks(name, case.inputs[name], case.op)
            every = [*order, *(k + len(order) for k in order)][:a.shape[1]]
            new[name] = a[:, every].reshape(case.inputs[name].shape)
        return case._replace(inputs=case.inputs | new) if new else None
    return effect


def complement_gate(case: Case) -> Optional[Case]:
    """The GRU with 1 - z for z: sigmoid(-x) is 1 - sigmoid(x), so the block of z changes its sign."""
    names = case.attributes.get("activations", ["Sigmoid"])
    if any(f.lower() != "sigmoid" for f in names[::2]):
        return None
    new = {n: case.inputs[n].copy() for n in "WRB" if n in case.inputs}
    for name, a in new.items():
        view = _split_blocks(name, a, case.op)
        view[:, ::GATES[case.op]] *= -1
    return case._replace(inputs=case.inputs | new)


# effects on outputs

def _find_direction(case: Case, which: str) -> Optional[int]:
    """The index of the direction "forward" or "reverse"; None where the case does not have it."""
    direction = case.attributes.get("direction", "forward")
    if direction == "bidirectional":
        return ("forward", "reverse").index(which)
    return 0 if direction == which else None


def get_lengths(case: Case) -> Array:
    """sequence_lens of a case with layout=0, or T for every row."""
    T, B = case.inputs["X"].shape[:2]
    return np.asarray(case.inputs.get("sequence_lens", [T] * B))


def _live_mask(case: Case) -> Array:
    """[T, B, 1]: True where t < length of the row."""
    return (np.arange(len(case.inputs["X"]))[:, None] < get_lengths(case))[:, :, None]


def _reverse_rows(a: Array, lengths: Array) -> Array:
    """[T, B, ...] with the live steps of every row in reverse order; the padding stays."""
    t = np.arange(len(a))[:, None]
    source = np.where(t < lengths, lengths - 1 - t, t)
    return a[source, np.arange(a.shape[1])]


def _select_direction(outputs: Outputs, d: int) -> Outputs:
    """Y [T, B, H] and states [B, H] of direction d."""
    return {n: a[:, d] if n == "Y" else a[d] for n, a in outputs.items()}


def _replace_direction(outputs: Outputs, d: int, values: Outputs) -> Outputs:
    """The outputs with those of direction d replaced by `values`: Y [T, B, H] and states [B, H]."""
    new = {n: a.copy() for n, a in outputs.items()}
    for n, a in values.items():
        new[n][(slice(None), d) if n == "Y" else d] = a
    return new


def exchange_directions(outputs: Outputs, case: Case, run: Run) -> Outputs:
    """The outputs of the two directions exchanged."""
    return {n: a[:, ::-1] if n == "Y" else a[::-1] for n, a in outputs.items()}


def reverse_reading(which: str) -> OutputEffect:
    """One direction computed over the live steps in the opposite order."""
    def effect(outputs: Outputs, case: Case, run: Run) -> Outputs:
        d, lengths = _find_direction(case, which), get_lengths(case)
        if d is None:
            return outputs
        X = _reverse_rows(case.inputs["X"], lengths)
        other = _select_direction(run(case._replace(inputs=case.inputs | {"X": X})), d)
        return _replace_direction(outputs, d, other | {"Y": _reverse_rows(other["Y"], lengths)})
    return effect


def reverse_output(which: str) -> OutputEffect:
    """One direction whose live outputs in Y are in the opposite order; the states are right."""
    def effect(outputs: Outputs, case: Case, run: Run) -> Outputs:
        d = _find_direction(case, which)
        if d is None:
            return outputs
        return _replace_direction(outputs, d, {"Y": _reverse_rows(outputs["Y"][:, d], get_lengths(case))})
    return effect


def start_in_padding(outputs: Outputs, case: Case, run: Run) -> Outputs:
    """The reverse direction starts at the last step of the array, not at the last live step; Y is still masked."""
    d, whole = _find_direction(case, "reverse"), leave_out("sequence_lens")(case)
    if d is None or whole is None:
        return outputs
    other = _select_direction(run(whole), d)
    return _replace_direction(outputs, d, other | {"Y": np.where(_live_mask(case), other["Y"], 0)})


def run_into_padding(outputs: Outputs, case: Case, run: Run) -> Outputs:
    """Y of the forward direction without the mask; the states are right."""
    d, whole = _find_direction(case, "forward"), leave_out("sequence_lens")(case)
    if d is None or whole is None:
        return outputs
    return _replace_direction(outputs, d, {"Y": _select_direction(run(whole), d)["Y"]})


def repeat_last_output(Y: Array, lengths: Array) -> Array:
    """Y [T, D, B, H] with the last live output of each row in its padding; step 0 where no step is live."""
    t = np.minimum(np.arange(len(Y))[:, None], np.maximum(lengths - 1, 0))
    rows = np.moveaxis(Y, 1, 2)                   # [T, B, D, H]
    return np.moveaxis(rows[t, np.arange(len(lengths))], 1, 2)


def replace_forward(outputs: Outputs, case: Case, values: Outputs) -> Outputs:
    """The outputs with some of the forward direction replaced by `values`, which have all directions."""
    d = _find_direction(case, "forward")
    return outputs if d is None else _replace_direction(outputs, d, {n: a[d] for n, a in values.items()})
