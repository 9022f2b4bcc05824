"""Every recorded run of TensorFlow 1.15: outputs, last states and all gradients, through `rnnref.tf1`.

One runner for every file of a directory, which RNNREF_GOLDEN_DIR can name; it knows nothing of single files.  It fails
where a class, a loop or an array is not known to it, and where an array was not used.
"""
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rnnref import tf1
from rnnref.tf1.loops import flat
from rnnref.tf1.states import LSTMStateTuple
from rnnref.tree import tmap

FOLDER = Path(os.environ.get("RNNREF_GOLDEN_DIR", Path(__file__).parent / "golden" / "tf1"))
FILES = sorted(FOLDER.glob("*.npz"))
# relative to the largest entry of the array
TOLERANCE = {("out", "float64"): 1e-12, ("grad", "float64"): 1e-10, ("out", "float32"): 5e-6, ("grad", "float32"): 5e-6}

# Functions that the files name
FUNCTIONS = {
    "half_in_minus_two_out": (lambda i, o: 0.5 * i - 2 * o, lambda i, o, d: (0.5 * d, -2 * d)),
    "in_times_out": (lambda i, o: i * o, lambda i, o, d: (d * o, d * i)),
    "c_only": lambda s: LSTMStateTuple(True, False) if isinstance(s, LSTMStateTuple) else True,
}
NAMED = ("residual_fn", "dropout_state_filter_visitor")

# Classes that are not there yet, and why.  One that is there after all fails.
NOT_YET: dict = {}


def made(described):
    """The cell, or the list of cells, of a `config`."""
    if isinstance(described, list):
        return [made(one) for one in described]
    kwargs = {name: made(value) if nested(value) else FUNCTIONS[value] if name in NAMED and value else value
              for name, value in described["kwargs"].items()}
    return getattr(tf1, described["class"])(**kwargs)


def nested(value):
    return isinstance(value, dict) and "class" in value or isinstance(value, list) and any(map(nested, value))


class Arrays:
    """The arrays of a file, which knows what was asked for."""

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

    def filled(node):
        if isinstance(node, (tuple, list)):
            items = [filled(item) for item in node]
            return type(node)(*items) if hasattr(node, "_fields") else tuple(items)
        return next(arrays)
    return filled(structure)


# loops: each (case, cells) -> outputs, states, and a function from gradients of these to those of x, states, variables

def sequence(tree):
    """[T, B, …] -> a list over time."""
    return [tmap(lambda a: a[t], tree) for t in range(len(tree[0] if isinstance(tree, tuple) else tree))]


def stacked(steps):
    return tuple(np.stack(s) for s in zip(*steps)) if isinstance(steps[0], tuple) else np.stack(steps)


class Case:
    def __init__(self, path):
        self.arrays = Arrays(path)
        self.config = self.arrays.config
        self.loop, self.options = self.config["loop"], self.config["loop_kwargs"]
        self.lengths = self.arrays["in/sequence_length"] if "in/sequence_length" in self.arrays else None
        described = self.config["kwargs"] if self.config["class"] is None else self.config
        self.cells = [made(described)] if self.config["class"] else [made(described["fw"]), made(described["bw"])]
        self.load()

    def load(self):
        """Every variable goes to exactly one cell, and comes out of it as it was."""
        variables, dumped = self.arrays.under("var"), {}
        for way, several in zip(("fw", "bw"), self.cells):
            for layer, cell in enumerate(several if isinstance(several, list) else [several]):
                cell.load_variables(variables, tf1.scope_of(self.loop, way, layer))
                dumped |= cell.dump_variables()
        assert dumped.keys() == variables.keys()
        for name, a in variables.items():
            np.testing.assert_array_equal(dumped[name], a, strict=True, err_msg=name)

    def state(self, kind, form):
        """The state of one kind, in the structure of `form`; None where there is none."""
        leaves = self.arrays.leaves(f"{kind}/state")
        return like(form, leaves) if leaves else None

    @property
    def form(self):
        """Something with the structure of the state."""
        def of(cell):
            return tuple(of(c) for c in cell) if isinstance(cell, list) else cell.parts.form
        return of(self.cells[0]) if len(self.cells) == 1 else tuple(map(of, self.cells))

    def extra(self):
        """The masks of the file, for the one cell that takes some."""
        found: dict = {}
        for name in [n for n in self.arrays.all if n.startswith(("mask/", "noise/"))]:
            kind, sort, leaf, *step = name.split("/")
            if kind == "mask":
                found.setdefault(sort, {}).setdefault(int(leaf), {})[int(step[0]) if step else None] = self.arrays[name]
            else:                                 # what the mask was made of
                assert f"mask/{sort}/{leaf}" in self.arrays and self.arrays[name] is not None
        return self.cells[0].masks(**self.kinds(found)) if found else None

    def kinds(self, found):
        batch = self.arrays["in/x"].shape[1]

        def mask(steps):
            if None in steps:
                return np.repeat(steps[None], batch, 0)
            return np.stack([steps[t] for t in range(len(steps))])
        kinds = {sort: {k: mask(steps) for k, steps in leaves.items()} for sort, leaves in found.items()}
        if "state" in kinds:                      # the mask of a leaf that is not dropped is recorded all the same
            dropped = self.cells[0].dropped()
            kinds["state"] = {k: m for k, m in kinds["state"].items() if dropped[k][1]}
        return {sort: leaves if sort == "state" else leaves[0] for sort, leaves in kinds.items()}


def by_step(case, x, state):
    cell, extra = case.cells[0], case.extra()
    assert case.lengths is None and extra is None
    result = cell(x, cell.zero_state(len(x), x.dtype) if state is None else state)
    return *result, result.backward


def by_list(case, x, state):
    """A loop over a list."""
    loop, kwargs = getattr(tf1, case.loop), {"sequence_length": case.lengths, "dtype": case.config["dtype"]}
    extra = case.extra()
    given = {} if extra is None else {"extra": extra}
    result = loop(*case.cells, sequence(x), **starts(case, state), **kwargs, **given)
    ys, *new = result

    def back(dys, dstate):
        d = result.backward(sequence(dys), *(dstate if len(new) > 1 else (dstate,)))
        return d._replace(inputs=None if d.inputs is None else stacked(d.inputs))
    return stacked(ys), new[0] if len(new) == 1 else tuple(new), back


def by_array(case, x, state):
    loop = getattr(tf1, case.loop)
    result = loop(*case.cells, x, sequence_length=case.lengths, dtype=case.config["dtype"], **starts(case, state),
                  **case.options)
    ys, *new = result

    def back(dys, dstate):
        return result.backward(dys, *(dstate if len(new) > 1 else (dstate,)))
    return ys, new[0] if len(new) == 1 else tuple(new), back


def starts(case, state):
    """The first state under the names of the arguments of the loop."""
    if len(case.cells) == 1:
        return {"initial_state": state}
    name = "initial_states_" if "stack" in case.loop else "initial_state_"
    return {name + way: s for way, s in zip(("fw", "bw"), state or (None, None))}


def by_fused(case, x, state):
    result = case.cells[0](x, state, case.config["dtype"], case.lengths)
    return *result, result.backward


def by_saver(case, x, state):
    names, saved = case.options["state_name"], {}
    kept = dict(zip(names, flat(state)))
    saver = SimpleNamespace(state=kept.__getitem__, save_state=saved.__setitem__)
    result = tf1.static_state_saving_rnn(case.cells[0], sequence(x), saver, names, case.lengths)

    def back(dys, dstate):
        d = result.backward(sequence(dys), dstate)
        return d._replace(inputs=stacked(d.inputs))
    return stacked(result[0]), like(state, [saved[name] for name in names]), back


def by_raw(case, x, state):
    forward, backward, emits = RAW[case.options["loop_fn"]](x, state, case.lengths)
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
        dx = np.zeros_like(x)
        if d[0] is not None:
            dx[min(time, len(x) - 1)] = d[0]
        return d[2], d[1], None, {"x": dx}
    return forward, backward, None


def raw_feedback(x, state, lengths):
    n = x.shape[1]

    def forward(time, output, after, loop):
        if output is None:
            return time >= lengths, x, state, (np.zeros(1), np.zeros(1)), np.zeros(len(x))
        emit = 2 * output, output.sum(1, keepdims=True)
        return time >= lengths, np.tanh(output[:, :n]) + 0.1 * time, 0.9 * after, emit, loop + output.sum(1)

    def backward(time, output, after, loop, d):
        if output is None:
            return None, None, None, {"x": d[0]}
        dout = 2 * d[2][0] + d[2][1] + d[3][:, None]
        if d[0] is not None:
            dout[:, :n] += d[0] * (1 - np.tanh(output[:, :n]) ** 2)
        return dout, 0.9 * d[1], d[3], {}
    return forward, backward, 2


RAW = {"sequence": raw_sequence, "feedback": raw_feedback}
LOOPS = {
    "cell_step": by_step, "fused": by_fused, "static_state_saving_rnn": by_saver, "raw_rnn": by_raw,
    **dict.fromkeys(("static_rnn", "static_bidirectional_rnn", "stack_bidirectional_rnn"), by_list),
    **dict.fromkeys(("dynamic_rnn", "bidirectional_dynamic_rnn", "stack_bidirectional_dynamic_rnn"), by_array),
}


# conversions of weights

KINDS = ("weight", "bias", "weight_proj")


def converted(path):
    """Both conversions of a file, to the bit, and the names and shapes that it records."""
    arrays = Arrays(path)
    config = arrays.config
    made = getattr(tf1, config["class"])(**config["kwargs"])

    def all_of(where):
        return [arrays.leaves(f"{where}_{kind}") for kind in KINDS]
    same(made.cu_canonical_to_tf_canonical(*all_of("in/cu")[:2]), all_of("out/tf"))
    same((*made.tf_canonical_to_cu_canonical(*all_of("in/tf")), []), all_of("out/cu"))
    flat = made.tf_canonical_to_opaque(*all_of("in/tf"))
    same(made.net.split(flat), all_of("out/cu")[:2])
    assert list(made.tf_names[:2]) == [config["tf_weight_names"], config["tf_bias_names"]]
    for recorded, shapes in zip(("weight", "bias"), made.net.canonical_shapes()):
        if config[f"canonical_{recorded}_shapes"] is not None:
            assert config[f"canonical_{recorded}_shapes"] == list(map(list, shapes))
    assert arrays.used == set(arrays.all), f"not used: {sorted(set(arrays.all) - arrays.used)}"


def same(got, want):
    """Every array, to the bit."""
    for some, others in zip(got, want, strict=True):
        for a, b in zip(some, others, strict=True):
            np.testing.assert_array_equal(a, b, strict=True)


# comparison

def error(got, want, name):
    """Relative to the largest entry."""
    assert got is not None, f"{name}: there is none"
    got = np.asarray(got)
    assert got.shape == want.shape, f"{name} has shape {got.shape}, expected {want.shape}"
    assert got.dtype == want.dtype, f"{name} has dtype {got.dtype}, expected {want.dtype}"
    if not want.size:
        return 0.0
    return float(abs(got - want).max() / max(abs(want).max(), np.finfo("float64").tiny))


def named(kind, name, tree):
    """{key of the file: array}."""
    if isinstance(tree, tuple):
        return {f"{kind}/{name}/{k}": a for k, a in enumerate(flat(tree))}
    return {f"{kind}/{name}": tree}


def ran(path):
    """{key: error} of every output, state and gradient of a file, after all of the file was used."""
    case = Case(path)
    arrays, config = case.arrays, case.config
    form = case.form
    x, state = arrays.one("in/x"), case.state("in", form)
    ys, new, back = LOOPS[case.loop](case, x, state)
    dys, dnew = arrays.one("cot/y"), cotangents(arrays, flat(new), form)
    grads = back(dys, dnew)
    got = named("out", "y", ys) | {f"out/state/{k}": a for k, a in enumerate(flat(new))}
    got |= named("grad", "x", grads.inputs) | {f"grad/var/{n}": d for n, d in grads.variables.items()}
    got |= {f"grad/state/{k}": d for k, d in enumerate(flat(grads.state))} if state is not None else {}
    for name in config["no_grad"]:
        d = got.pop(f"grad/{name}", None)
        assert d is None or not np.any(d), f"{name} has a gradient, and TF says that it has none"
        assert f"grad/{name}" not in arrays
    errors = {name: error(a, arrays[name], name) for name, a in got.items() if name in arrays}
    assert {n for n in arrays.all if n.startswith(("out/", "grad/"))} == got.keys()
    assert arrays.used == set(arrays.all), f"not used: {sorted(set(arrays.all) - arrays.used)}"
    return errors


def cotangents(arrays, new, form):
    """Gradients of the last state; whole numbers in it have none."""
    keys = [f"cot/state/{k}" for k in range(len(new))]
    return like(form, [arrays[key] if key in arrays else np.zeros_like(a) for key, a in zip(keys, new)])


def classes_in(config):
    """The names of all classes that a `config` names."""
    if isinstance(config, list):
        return {name for item in config for name in classes_in(item)}
    if not isinstance(config, dict):
        return set()
    own = {config["class"]} if config.get("class") else set()
    return own | {name for value in config.values() for name in classes_in(value)}


def checked(path):
    config = Arrays(path).config
    if config["loop"] == "weight_conversion":
        return converted(path)
    errors = ran(path)
    for name, e in errors.items():
        kind = "out" if name.startswith("out") else "grad"
        assert e <= TOLERANCE[kind, config["dtype"]], f"{name}: {e:.1e} of the largest entry"
    return errors


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden(path):
    missing = classes_in(Arrays(path).config) & NOT_YET.keys()
    if not missing:
        checked(path)
        return
    with pytest.raises(AttributeError):           # nothing of that name
        checked(path)


def test_there_are_files():
    assert FILES, f"no files in {FOLDER}"
