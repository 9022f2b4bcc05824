"""An independent reading of the ONNX operators RNN, GRU and LSTM (opset 22), in plain float64 NumPy.

Written from the operators' own text (``onnx.defs.get_schema("LSTM", 22).doc`` and the descriptions of its inputs and
attributes) and from nothing else, to hold a faster implementation to account.  So it is slow on purpose: every row
of the batch is walked alone, one time step after another, and each equation stands as the text prints it.

    outputs = lstm(inputs, attributes)      # arrays by ONNX input name, values by ONNX attribute name; missing = absent

The text leaves some things open.  Each is a keyword whose default is the reading the text supports best:

alpha_by   "taker" | "position"   which entry of activation_alpha and activation_beta belongs to which function
empty_row  "initial" | "zero"     Y_h and Y_c of a row whose sequence_lens is 0
clip_h     True | False           LSTM: whether clip bounds the argument of h(Ct) too
coupled    "forget" | "input"     LSTM: which gate input_forget=1 derives from the other

Two more silences have one answer in practice, and no switch: Y is zero where a row has already ended, and a reverse
direction reads the live part of a row from its end but leaves each output at the time of the X it has just read.
"""

import numpy as np

# name: (function of x, alpha and beta; default alpha; default beta), None where the function takes none.
# "Default values are the same as of corresponding ONNX operators": LeakyRelu, ThresholdedRelu, HardSigmoid and Elu
# are operators today; Affine was an experimental one, with these defaults.  The experimental ScaledTanh had none:
# its 1 and 1, a plain Tanh, are this reading's own choice.
ACTIVATIONS = {
    "relu": (lambda x, alpha, beta: np.maximum(0, x), None, None),
    "tanh": (lambda x, alpha, beta: np.tanh(x), None, None),
    "sigmoid": (lambda x, alpha, beta: 1 / (1 + np.exp(-x)), None, None),
    "affine": (lambda x, alpha, beta: alpha * x + beta, 1.0, 0.0),
    "leakyrelu": (lambda x, alpha, beta: np.where(x >= 0, x, alpha * x), 0.01, None),
    "thresholdedrelu": (lambda x, alpha, beta: np.where(x >= alpha, x, 0), 1.0, None),
    "scaledtanh": (lambda x, alpha, beta: alpha * np.tanh(beta * x), 1.0, 1.0),
    "hardsigmoid": (lambda x, alpha, beta: np.minimum(np.maximum(alpha * x + beta, 0), 1), 0.2, 0.5),
    "elu": (lambda x, alpha, beta: np.where(x >= 0, x, alpha * (np.exp(x) - 1)), 1.0, None),
    "softsign": (lambda x, alpha, beta: x / (1 + np.abs(x)), None, None),
    "softplus": (lambda x, alpha, beta: np.log(1 + np.exp(x)), None, None),
}

INPUTS = ["X", "W", "R", "B", "sequence_lens", "initial_h"]
ATTRIBUTES = ["activations", "activation_alpha", "activation_beta", "clip", "direction", "hidden_size", "layout"]


def rnn(inputs, attributes, *, alpha_by="taker", empty_row="initial"):
    """The operator RNN: a dict of Y and Y_h."""
    _check(inputs, INPUTS, attributes, ATTRIBUTES)
    W, R, B = _weights(inputs, gates=1)
    functions = _functions(attributes, ["Tanh"], alpha_by)

    def step(d, Xt, H):
        Wi, Ri, (Wbi, Rbi) = W[d], R[d], np.split(B[d], 2)
        f, = functions[d]
        return f(Xt @ Wi.T + H @ Ri.T + Wbi + Rbi),

    return _walk(step, inputs, attributes, ["h"], empty_row)


def gru(inputs, attributes, *, alpha_by="taker", empty_row="initial"):
    """The operator GRU: a dict of Y and Y_h."""
    _check(inputs, INPUTS, attributes, ATTRIBUTES + ["linear_before_reset"])
    W, R, B = _weights(inputs, gates=3)
    functions = _functions(attributes, ["Sigmoid", "Tanh"], alpha_by)

    def step(d, Xt, H):
        Wz, Wr, Wh = np.split(W[d], 3)
        Rz, Rr, Rh = np.split(R[d], 3)
        Wbz, Wbr, Wbh, Rbz, Rbr, Rbh = np.split(B[d], 6)
        f, g = functions[d]
        zt = f(Xt @ Wz.T + H @ Rz.T + Wbz + Rbz)
        rt = f(Xt @ Wr.T + H @ Rr.T + Wbr + Rbr)
        if attributes.get("linear_before_reset", 0) == 0:
            ht = g(Xt @ Wh.T + (rt * H) @ Rh.T + Rbh + Wbh)
        else:
            ht = g(Xt @ Wh.T + (rt * (H @ Rh.T + Rbh)) + Wbh)
        return (1 - zt) * ht + zt * H,

    return _walk(step, inputs, attributes, ["h"], empty_row)


def lstm(inputs, attributes, *, alpha_by="taker", empty_row="initial", clip_h=True, coupled="forget"):
    """The operator LSTM: a dict of Y, Y_h and Y_c."""
    _check(inputs, INPUTS + ["initial_c", "P"], attributes, ATTRIBUTES + ["input_forget"])
    if coupled not in ("forget", "input"):
        raise ValueError(f"coupled must be 'forget' or 'input', got {coupled!r}")
    W, R, B = _weights(inputs, gates=4)
    P = np.asarray(inputs.get("P", np.zeros((len(W), 3 * R.shape[-1]))), float)     # "assumed to be 0"
    couple = attributes.get("input_forget", 0) == 1
    # "Clipping ... is applied to the input of activations", and h is one of the three; Ct itself is carried on,
    # and seen by the output gate's peephole, unclipped.  The other reading bounds the gates' arguments alone.
    clipped = _functions(attributes, ["Sigmoid", "Tanh", "Tanh"], alpha_by)
    unclipped = _functions({**attributes, "clip": np.inf}, ["Sigmoid", "Tanh", "Tanh"], alpha_by)

    def step(d, Xt, H, C):
        Wi, Wo, Wf, Wc = np.split(W[d], 4)
        Ri, Ro, Rf, Rc = np.split(R[d], 4)
        Wbi, Wbo, Wbf, Wbc, Rbi, Rbo, Rbf, Rbc = np.split(B[d], 8)
        Pi, Po, Pf = np.split(P[d], 3)
        f, g, h = clipped[d]
        if not clip_h:
            h = unclipped[d][2]
        it = f(Xt @ Wi.T + H @ Ri.T + Pi * C + Wbi + Rbi)
        ft = f(Xt @ Wf.T + H @ Rf.T + Pf * C + Wbf + Rbf)
        # "Couple the input and forget gates if 1" does not say which gate gives way.  In the literature's coupled
        # cell the forget gate does (what is written replaces what is forgotten), and its weights go unused.
        if couple and coupled == "forget":
            ft = 1 - it
        elif couple:
            it = 1 - ft
        ct = g(Xt @ Wc.T + H @ Rc.T + Wbc + Rbc)
        Ct = ft * C + it * ct
        ot = f(Xt @ Wo.T + H @ Ro.T + Po * Ct + Wbo + Rbo)
        return ot * h(Ct), Ct

    return _walk(step, inputs, attributes, ["h", "c"], empty_row)


def _check(inputs, input_names, attributes, attribute_names):
    """Refuse a name the operator does not have: a misspelt option would pass for an absent one."""
    unknown = [name for name in inputs if name not in input_names]
    unknown += [name for name in attributes if name not in attribute_names]
    if unknown:
        raise ValueError(f"not an input or attribute of this operator: {unknown}")
    if attributes.get("hidden_size", inputs["R"].shape[-1]) != inputs["R"].shape[-1]:
        raise ValueError("hidden_size differs from the last dimension of R")
    if attributes.get("layout", 0) not in (0, 1):
        raise ValueError("layout must be 0 or 1")


def _weights(inputs, gates):
    """W, R and B in float64, their first axis the direction; an absent B is "assumed to be 0"."""
    W, R = np.asarray(inputs["W"], float), np.asarray(inputs["R"], float)
    B = np.asarray(inputs.get("B", np.zeros((len(W), 2 * gates * R.shape[-1]))), float)
    return W, R, B


def _directions(attributes):
    """For each of num_directions, whether it reads the row from its end."""
    return {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[
        attributes.get("direction", "forward")]


def _functions(attributes, defaults, alpha_by):
    """The activation functions, one list of them for each direction, clipping their own argument."""
    directions, each = len(_directions(attributes)), len(defaults)
    names = attributes.get("activations", defaults * directions)
    # RNN alone declares a default for the attribute itself, ["Tanh", "Tanh"] whatever the direction: there a list of
    # two may meet one direction, which reads the first.
    if len(names) != directions * each and (each, len(names)) != (1, 2):
        raise ValueError(f"{directions * each} activations are needed, got {len(names)}")
    chosen = [ACTIVATIONS[name.lower()] for name in names[:directions * each]]
    alphas = _consume(attributes.get("activation_alpha", []), [alpha for _, alpha, _ in chosen], alpha_by)
    betas = _consume(attributes.get("activation_beta", []), [beta for _, _, beta in chosen], alpha_by)
    clip = attributes.get("clip", np.inf)                                           # "No clip if not specified"
    functions = [_bind(function, alpha, beta, clip) for (function, _, _), alpha, beta in zip(chosen, alphas, betas)]
    return [functions[d * each:(d + 1) * each] for d in range(directions)]


def _consume(values, defaults, alpha_by):
    """Line the values of activation_alpha or activation_beta up with the functions; no default: takes no value.

    "Optional scaling values used by some activation functions.  The values are consumed in the order of activation
    functions": a function that uses no value has none to consume, so the default reading skips it.  By position,
    each function would own the entry of its own place in the list, used or not.  Either way a list that ends early
    leaves the functions after it their defaults, and what is left of a longer one is ignored.
    """
    if alpha_by == "taker":
        values = iter(values)
        return [default if default is None else next(values, default) for default in defaults]
    if alpha_by == "position":
        return [default if default is None or k >= len(values) else values[k] for k, default in enumerate(defaults)]
    raise ValueError(f"alpha_by must be 'taker' or 'position', got {alpha_by!r}")


def _bind(function, alpha, beta, clip):
    """One function of x alone, "clipping ... applied to the input of activations"."""
    return lambda x: function(np.minimum(np.maximum(x, -clip), clip), alpha, beta)


def _walk(step, inputs, attributes, states, empty_row):
    """Run step over every direction and every row of the batch, each row alone and at its own length."""
    if empty_row not in ("initial", "zero"):
        raise ValueError(f"empty_row must be 'initial' or 'zero', got {empty_row!r}")
    X = np.asarray(inputs["X"], float)
    given = {s: np.asarray(inputs[f"initial_{s}"], float) for s in states if f"initial_{s}" in inputs}
    batch_first = attributes.get("layout", 0) == 1
    if batch_first:
        X = X.swapaxes(0, 1)
        given = {s: value.swapaxes(0, 1) for s, value in given.items()}
    directions, (T, N, _), H = _directions(attributes), X.shape, inputs["R"].shape[-1]
    lengths = inputs.get("sequence_lens", [T] * N)

    Y = np.zeros((T, len(directions), N, H))
    last = {s: np.zeros((len(directions), N, H)) for s in states}
    for d, backward in enumerate(directions):
        for n in range(N):
            state = [given[s][d, n] if s in given else np.zeros(H) for s in states]
            times = range(lengths[n])                       # never the padding behind the row's end
            for t in reversed(times) if backward else times:
                state = step(d, X[t, n], *state)
                Y[t, d, n] = state[0]
            # "The last output value of the hidden": an empty row has no output at all.  Its state is then what it
            # was before the first step, or, where that is not taken for an output, zero as Y is.
            if lengths[n] == 0 and empty_row == "zero":
                state = [np.zeros(H) for s in states]
            for s, value in zip(states, state):
                last[s][d, n] = value

    if batch_first:     # Y: [batch_size, seq_length, num_directions, hidden_size]
        Y = Y.transpose(2, 0, 1, 3)
        last = {s: value.swapaxes(0, 1) for s, value in last.items()}
    return {"Y": Y, **{f"Y_{s}": value for s, value in last.items()}}
