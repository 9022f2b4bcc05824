"""The case that an engine seems to be given when it misreads one: a function case -> case, or None if nothing changes.

(floor 11)
"""
from .cases import GATES, SCALES, swap_batch_and_time


def to_time_first(case):
    """The same case with layout=0: the twin that every engine should compute alike."""
    attributes = {n: v for n, v in case.attributes.items() if n != "layout"}
    return swap_batch_and_time(case)._replace(attributes=attributes)      # swapping two axes is its own inverse


def leave_out(*names):
    """The case with inputs and attributes left out; None where it has none of them."""
    def left_out(case):
        if not any(n in case.inputs or n in case.attributes for n in names):
            return None
        inputs, attributes = ({n: v for n, v in d.items() if n not in names} for d in (case.inputs, case.attributes))
        return case._replace(inputs=inputs, attributes=attributes)
    return left_out


def exchange_initial_states(case):
    """initial_h as initial_c, and the other way round."""
    h, c = case.inputs.get("initial_h"), case.inputs.get("initial_c")
    swapped = {"initial_h": c, "initial_c": h}
    return case if h is c else case._replace(inputs=case.inputs | {n: a for n, a in swapped.items() if a is not None})


def zero_missing_scales(*attributes):
    """The case with a 0 for every scale that is not given."""
    def zeros(case):
        names, lists = case.attributes.get("activations", []), {}
        for attribute in attributes:
            given = list(case.attributes.get(attribute, []))
            missing = sum(n in SCALES[attribute] for n in names) - len(given)
            if missing > 0:
                lists[attribute] = given + [0.0] * missing
        return case._replace(attributes=case.attributes | lists) if lists else None
    return zeros


def repeat_activations(case):
    """The functions and scales of the first direction for the second too."""
    names = case.attributes.get("activations", [])
    first = names[:len(names) // 2]
    if case.attributes.get("direction") != "bidirectional":
        return None
    new = {"activations": list(first) * 2}
    for attribute, takers in SCALES.items():
        if attribute in case.attributes:
            new[attribute] = list(case.attributes[attribute])[:sum(f in takers for f in first)] * 2
    return None if case.attributes == case.attributes | new else case._replace(attributes=case.attributes | new)


def zero_bias_half(half):
    def zeroed(case):
        if "B" not in case.inputs:
            return None
        B = case.inputs["B"].copy()
        B.reshape(len(B), 2, -1)[:, half] = 0
        return case._replace(inputs=case.inputs | {"B": B})
    return zeroed


def _split_blocks(name, a, op):
    """An array of weights as [directions, blocks, ...]; B has the gates twice."""
    return a.reshape(len(a), {"P": 3, "B": 2 * GATES[op]}.get(name, GATES[op]), -1, *a.shape[2:])


def reorder_blocks(names, order):
    """The case with the gate blocks that an engine sees if it takes block order[k] for block k."""
    def weights(case):
        new = {}
        for name in set(names) & set(case.inputs):
            a = _split_blocks(name, case.inputs[name], case.op)
            every = [*order, *(k + len(order) for k in order)][:a.shape[1]]
            new[name] = a[:, every].reshape(case.inputs[name].shape)
        return case._replace(inputs=case.inputs | new) if new else None
    return weights


def complement_gate(case):
    """sigmoid(-x) is 1 - sigmoid(x): the block of z with the other sign."""
    names = case.attributes.get("activations", ["Sigmoid"])
    if any(f.lower() != "sigmoid" for f in names[::2]):
        return None
    new = {n: case.inputs[n].copy() for n in "WRB" if n in case.inputs}
    for name, a in new.items():
        view = _split_blocks(name, a, case.op)
        view[:, ::GATES[case.op]] *= -1
    return case._replace(inputs=case.inputs | new)
