"""Recorded runs of TensorFlow 1, read from files and run again by the names in their `config`."""
import json
from types import SimpleNamespace

import numpy as np

import rnnref
from rnnref import tf1
from rnnref.arrays import namespace
from rnnref.tf1.loops import flatten_state
from rnnref.tf1.states import LSTMStateTuple
from rnnref.tree import map_structure, stack, to

# The functions whose names are in the files
FUNCTIONS = {
    "half_in_minus_two_out": (lambda i, o: 0.5 * i - 2 * o, lambda i, o, d: (0.5 * d, -2 * d)),
    "in_times_out": (lambda i, o: i * o, lambda i, o, d: (d * o, d * i)),
    "c_only": lambda s: LSTMStateTuple(True, False) if isinstance(s, LSTMStateTuple) else True,
}
NAMED = ("residual_fn", "dropout_state_filter_visitor")


def make_cells(described):
    """The cell, or the list of cells, of a `config`."""
    if isinstance(described, list):
        return [make_cells(one) for one in described]
    kwargs = {name: make_cells(value) if has_cell(value) else FUNCTIONS[value] if name in NAMED and value else value
              for name, value in described["kwargs"].items()}
    return getattr(tf1, described["class"])(**kwargs)


def has_cell(value):
    return isinstance(value, dict) and "class" in value or isinstance(value, list) and any(map(has_cell, value))


class Arrays:
    """The arrays of a file, and the names of those that were read."""

    def __init__(self, path):
        with np.load(path, allow_pickle=False) as file:
            self.all = {name: file[name] for name in file.files}
        self.config = json.loads(self.all.pop("config").item())
        self.used = set()

    def __contains__(self, name):
        return name in self.all

    def __getitem__(self, name):
        self.used.add(name)
        return self.all[name]

    def one(self, name):
        """The array, or the tuple of arrays name/0, name/1."""
        return self[name] if name in self else tuple(self.leaves(name)) or None

    def leaves(self, name):
        found = []
        while f"{name}/{len(found)}" in self:
            found.append(self[f"{name}/{len(found)}"])
        return found

    def under(self, kind):
        return {name[len(kind) + 1:]: self[name] for name in self.all if name.startswith(kind + "/")}


def like(structure, arrays):
    """A list of arrays in the structure of a state of TF; the structure may be a named tuple."""
    arrays = iter(arrays)

    def fill(node):
        if isinstance(node, (tuple, list)):
            items = [fill(item) for item in node]
            return type(node)(*items) if hasattr(node, "_fields") else tuple(items)
        return next(arrays)
    return fill(structure)


class Case:
    """The run that a file describes, on the "cpu" or the "gpu", where the cells and all arrays are."""

    def __init__(self, path, where="cpu"):
        self.arrays, self.where = Arrays(path), where
        self.config = self.arrays.config
        self.loop, self.options = self.config["loop"], self.config["loop_kwargs"]
        self.lengths = self.given("in/sequence_length")
        described = self.config["kwargs"] if self.config["class"] is None else self.config
        parts = [described] if self.config["class"] else [described["fw"], described["bw"]]
        self.cells = [make_cells(part) for part in parts]
        self.load()

    def load(self):
        """Load every variable into exactly one cell, and check that the cell dumps the same bits."""
        variables, dumped = self.arrays.under("var"), {}
        for way, several in zip(("fw", "bw"), self.cells):
            for layer, cell in enumerate(several if isinstance(several, list) else [several]):
                cell.load_variables(variables, tf1.scope_of(self.loop, way, layer))
                dumped |= cell.to(self.where).dump_variables()
        assert dumped.keys() == variables.keys()
        for name, a in variables.items():
            np.testing.assert_array_equal(dumped[name], a, strict=True, err_msg=name)

    def given(self, name):
        """The array, or the tuple of arrays, or None."""
        return to(self.where, self.arrays.one(name))

    def state(self, kind, form):
        """The state of one kind, in the structure of `form`, or None."""
        leaves = to(self.where, tuple(self.arrays.leaves(f"{kind}/state")))
        return like(form, leaves) if leaves else None

    @property
    def form(self):
        """Something with the structure of the state."""
        def of(cell):
            return tuple(of(c) for c in cell) if isinstance(cell, list) else cell.spec.form
        return of(self.cells[0]) if len(self.cells) == 1 else tuple(map(of, self.cells))

    def extra(self):
        """The masks of the file, for the one cell that has masks."""
        found: dict = {}
        for name in [n for n in self.arrays.all if n.startswith(("mask/", "noise/"))]:
            kind, sort, leaf, *step = name.split("/")
            if kind == "mask":
                found.setdefault(sort, {}).setdefault(int(leaf), {})[int(step[0]) if step else None] = self.arrays[name]
            else:                                 # the random numbers from which TF made the mask
                assert f"mask/{sort}/{leaf}" in self.arrays and self.arrays[name] is not None
        return given_to(self.cells[0], {sort: {k: to(self.where, self.mask(steps)) for k, steps in leaves.items()}
                                        for sort, leaves in found.items()}) if found else None

    def mask(self, steps):
        """[T, B, n], or [B, n] for a single step."""
        if None not in steps:
            return np.stack([steps[t] for t in range(len(steps))]) if self.loop != "cell_step" else steps[0]
        x = rnnref.tree.first_leaf(self.arrays.one("in/x"))
        first = self.loop == "cell_step" or "dynamic" in self.loop and not self.options.get("time_major")
        return np.repeat(steps[None], x.shape[0 if first else 1], 0)


def given_to(cell, kinds):
    """The `extra` of a cell, for masks of the only cell in it that has masks."""
    if hasattr(cell, "masks"):
        if "state" in kinds:                      # masks of leaves that are not dropped are recorded too
            kinds["state"] = {k: m for k, m in kinds["state"].items() if cell.list_dropped()[k][1]}
        return cell.masks(**{sort: leaves if sort == "state" else leaves[0] for sort, leaves in kinds.items()})
    found = [given_to(child, kinds) for child in cell.spec.children]
    assert sum(e is not None for e in found) <= 1, "more than one cell has masks"
    return tuple(found) if "several" in cell.spec.notes else found[0] if found else None


# loops: each (case, x, state) -> outputs, states, and a function from gradients of these to `Gradients`

def sequence(tree):
    """[T, B, …] -> a list over time."""
    return [map_structure(lambda a: a[t], tree) for t in range(len(rnnref.tree.first_leaf(tree)))]


def stacked(steps):
    return None if steps is None else stack(steps)


def by_step(case, x, state):
    cell, batch = case.cells[0], len(rnnref.tree.first_leaf(x))
    assert case.lengths is None
    result = cell(x, cell.zero_state(batch, case.config["dtype"]) if state is None else state, extra=case.extra())
    return *result, result.backward


def by_list(case, x, state):
    """A loop of TF over a list of inputs."""
    loop, kwargs = getattr(tf1, case.loop), {"sequence_length": case.lengths, "dtype": case.config["dtype"]}
    extra = case.extra()
    given = {} if extra is None else {"extra": extra}
    result = loop(*case.cells, sequence(x), **starts(case, state), **kwargs, **given)
    ys, *new = result

    def back(dys, dstate):
        d = result.backward(sequence(dys), *(dstate if len(new) > 1 else (dstate,)))
        return d._replace(inputs=stacked(d.inputs))
    return stacked(ys), new[0] if len(new) == 1 else tuple(new), back


def by_array(case, x, state):
    loop, extra = getattr(tf1, case.loop), case.extra()
    given = {} if extra is None else {"extra": extra}
    result = loop(*case.cells, x, sequence_length=case.lengths, dtype=case.config["dtype"], **starts(case, state),
                  **case.options, **given)
    ys, *new = result

    def back(dys, dstate):
        return result.backward(dys, *(dstate if len(new) > 1 else (dstate,)))
    return ys, new[0] if len(new) == 1 else tuple(new), back


def starts(case, state):
    """The initial state, by the names of the arguments of the loop."""
    if len(case.cells) == 1:
        return {"initial_state": state}
    name = "initial_states_" if "stack" in case.loop else "initial_state_"
    return {name + way: s for way, s in zip(("fw", "bw"), state or (None, None))}


def by_fused(case, x, state):
    result = case.cells[0](x, state, case.config["dtype"], case.lengths)
    return *result, result.backward


def by_saver(case, x, state):
    names, saved = case.options["state_name"], {}
    names = [names] if isinstance(names, str) else names
    kept = dict(zip(names, flatten_state(state)))
    saver = SimpleNamespace(state=kept.__getitem__, save_state=saved.__setitem__)
    result = tf1.static_state_saving_rnn(case.cells[0], sequence(x), saver, names, case.lengths)

    def back(dys, dstate):
        d = result.backward(sequence(dys), dstate)
        return d._replace(inputs=stacked(d.inputs))
    return stacked(result[0]), like(state, [saved[name] for name in names]), back


def by_raw(case, x, state):
    assert case.extra() is None
    start = case.cells[0].zero_state(x.shape[-2], case.config["dtype"]) if state is None else state
    lengths = namespace(x).full(x.shape[-2], len(x)) if case.lengths is None else case.lengths
    forward, backward, emits = RAW[case.options["loop_fn"]](x, start, lengths)
    ys, new, loop = result = tf1.raw_rnn(case.cells[0], forward, loop_back=backward)

    def back(dys, dstate):
        dloop = dys[emits] if loop is not None else None
        d = result.backward(dys if loop is None else dys[:emits], dstate, dloop)
        return d._replace(inputs=d.inputs["x"])
    return ys if loop is None else (*ys, loop), new, back


def raw_sequence(x, state, lengths):
    def forward(time, output, after, loop):
        now = x[min(time, len(x) - 1)]
        if output is None:
            return time >= lengths, now, state, np.zeros(1), None
        return time >= lengths, now, after, output, None

    def backward(time, output, after, loop, d):
        dx = namespace(x).zeros_like(x)
        if d[0] is not None:
            dx[min(time, len(x) - 1)] = d[0]
        return d[2], d[1], None, {"x": dx}
    return forward, backward, None


def ninth(a):
    return 0.9 * a


def raw_feedback(x, state, lengths):
    n, xp = x.shape[1], namespace(x)

    def forward(time, output, after, loop):
        if output is None:
            return time >= lengths, x, state, (np.zeros(1), np.zeros(1)), xp.zeros(len(x))
        emit = 2 * output, output.sum(1, keepdims=True)
        following = xp.tanh(output[:, :n]) + 0.1 * time
        return time >= lengths, following, map_structure(ninth, after), emit, loop + output.sum(1)

    def backward(time, output, after, loop, d):
        if output is None:
            return None, None, None, {"x": d[0]}
        dout = 2 * d[2][0] + d[2][1] + d[3][:, None]
        if d[0] is not None:
            dout[:, :n] += d[0] * (1 - xp.tanh(output[:, :n]) ** 2)
        return dout, map_structure(ninth, d[1]), d[3], {}
    return forward, backward, 2


RAW = {"sequence": raw_sequence, "feedback": raw_feedback}
LOOPS = {
    "cell_step": by_step, "fused": by_fused, "static_state_saving_rnn": by_saver, "raw_rnn": by_raw,
    **dict.fromkeys(("static_rnn", "static_bidirectional_rnn", "stack_bidirectional_rnn"), by_list),
    **dict.fromkeys(("dynamic_rnn", "bidirectional_dynamic_rnn", "stack_bidirectional_dynamic_rnn"), by_array),
}
