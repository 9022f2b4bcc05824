"""Modules of torch of several layers or directions, which compute with weights in a wrong convention in some of them.

torch computes; what is wrong is how the weights were handed to it, written here without rnnref.
"""
from itertools import permutations

import numpy as np

STORED = {"LSTM": "ifgo", "GRU": "rzn", "RNN": "h"}


def split(a, gates):
    import torch
    return dict(zip(gates, torch.chunk(a, len(gates))))


def join(blocks, gates):
    import torch
    return torch.cat([blocks[g] for g in gates])


# mistakes: (weights of one cell by their first letters, gates, rng) -> the words that must be said

def read_other_order(gates, rng):
    order = "".join(rng.permutation(list(permutations(gates))[1:])[0])

    def change(w):
        return {n: join({to: split(a, gates)[own] for own, to in zip(gates, order)}, gates) for n, a in w.items()}
    return change, f"the gate blocks are read as {' '.join(order)}"


def transpose(gates, rng):
    def change(w):
        return w | {"weight_hh": join({g: a.T for g, a in split(w["weight_hh"], gates).items()}, gates)}
    return change, "R is transposed"


def leave_out_bias(gates, rng):
    name = str(rng.choice(["bias_ih", "bias_hh"]))
    words = {"bias_ih": "b, the bias of the input, is left out", "bias_hh": "bR, the recurrent bias, is left out"}
    return lambda w: w | {name: 0 * w[name]}, words[name]


def double_bias(gates, rng):
    return lambda w: w | {"bias_ih": 2 * w["bias_ih"]}, "b, the bias of the input, is added twice"


def add_to_gate(gates, rng):
    gate, name = ("f", "forget") if "f" in gates else ("z", "update")
    value = float(rng.choice([1.0, -1.0, 0.5, 2.5]))

    def change(w):
        blocks = split(w["bias_ih"], gates)
        return w | {"bias_ih": join(blocks | {gate: blocks[gate] + value}, gates)}
    return change, f"{abs(value):g} is {'added to' if value > 0 else 'subtracted from'} the {name} gate"


def keep_new(gates, rng):
    def change(w):
        return {n: join({g: -a if g == "z" else a for g, a in split(a, gates).items()}, gates) for n, a in w.items()}
    return change, "z keeps the new state and 1 - z the old one"


KINDS = {"LSTM": [read_other_order, transpose, leave_out_bias, add_to_gate],
         "GRU": [read_other_order, transpose, leave_out_bias, double_bias, add_to_gate, keep_new],
         "RNN": [transpose, leave_out_bias, double_bias]}
_ORDER = [transpose, read_other_order, leave_out_bias, double_bias, add_to_gate, keep_new]
_SAME = (leave_out_bias, double_bias)             # of one slot


def draw_places(layers, directions, rng):
    """(the cells, as (layer, direction); in words): all, a layer, a direction or one cell."""
    cells = [(n, d) for n in range(layers) for d in range(directions)]
    layer, d = int(rng.integers(layers)), int(rng.integers(directions))
    name = ("forward", "backward")[d]
    kinds = [(cells, "")]
    if layers > 1:
        kinds.append(([c for c in cells if c[0] == layer], f"in layer {layer} "))
    if directions > 1:
        kinds.append(([c for c in cells if c[1] == d], f"in the {name} direction "))
    if layers > 1 and directions > 1:
        kinds.append(([(layer, d)], f"in the {name} direction of layer {layer} "))
    return kinds[int(rng.integers(len(kinds)))]


def draw_layered_mistake(seed, units=None):
    """(module, shape of x, words): one or two mistakes, in the same cells or each in its own."""
    import torch
    rng = np.random.default_rng([seed, 41])
    torch.manual_seed(seed)
    family = str(rng.choice(["LSTM", "GRU", "RNN"]))
    layers, two = [(2, False), (1, True), (2, True), (3, False)][int(rng.integers(4))]
    T, B, n_in, H = (int(n) for n in rng.integers((3, 2, 2, 4), (7, 5, 6, 9)))
    base, gates = getattr(torch.nn, family), STORED[family]
    count = 1 + int(rng.random() < 0.5)
    kinds = sorted(rng.choice(KINDS[family], count, replace=False), key=_ORDER.index)
    if count == 2 and all(k in _SAME for k in kinds):
        kinds = kinds[:1]
    place = draw_places(layers, 1 + two, rng)
    made = [(*kind(gates, rng), *place) for kind in kinds]

    class Ported(base):
        def forward(self, x, s=None):
            own = dict(self.named_parameters())
            for change, _, cells, _ in made:
                for n, d in cells:
                    ending = f"_l{n}" + "_reverse" * d
                    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                    new = change({name: own[name + ending] for name in names})
                    own |= {name + ending: a for name, a in new.items()}
            return torch.func.functional_call(plain, own, (x,) if s is None else (x, s))
    options = {"num_layers": layers, "bidirectional": two}
    plain, module = base(n_in, units or H, **options), Ported(n_in, units or H, **options)
    with torch.no_grad():
        for a in module.parameters():
            a.copy_(torch.tensor(0.5 * rng.standard_normal(a.shape)))
    where = made[0][3]
    return module, (T + (T == B), B, n_in), [where + made[0][1], *(words for _, words, _, _ in made[1:])]
