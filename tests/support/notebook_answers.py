"""Answers to the exercises of the notebooks, right ones and wrong ones, and what the checks must say to them."""
from tests.support import notebook_answers_check, notebook_answers_cpu, notebook_answers_keras, notebook_answers_text

GRU_STEP = """
def answer(p, x, h, order=(0, 1, 2), swap=False, bias=1, first=1, reset=1, outside=0, inside=0, candidate=np.tanh):
    (xr, xz, xn), (hr, hz, hn) = ([np.split(a, 3, -1)[n] for n in order]
                                  for a in (x @ p["W"] + first * p["b"], h @ p["R"] + bias * p["bR"]))
    b = outside * np.split(p["bR"], 3)[2] - inside * np.split(p["b"], 3)[2]
    r, z, n = sigmoid(xr + hr), sigmoid(xz + hz), candidate(xn + b + sigmoid(xr + hr) ** reset * (hn - b))
    return z * n + (1 - z) * h if swap else (1 - z) * n + z * h


def candidate_of(p, x, h):
    (xr, _, xn), (hr, _, hn) = (np.split(a, 3, -1) for a in (x @ p["W"] + p["b"], h @ p["R"] + p["bR"]))
    return np.tanh(xn + sigmoid(xr + hr) * hn)


def reset_all(p, x, h):
    r, z, n = np.split(x @ p["W"] + p["b"] + h @ p["R"] + p["bR"], 3, -1)
    return (1 - sigmoid(z)) * np.tanh(sigmoid(r) * n) + sigmoid(z) * h
"""
REWIRE = """
def answer(p, forget=False, write=True, clear=True, kind=0, i_=2 * S, g_=S, f_=S):
    if clear:
        p["W"][:, i[1]] = p["W"][:, g[1]] = 0
    if not forget:
        p["W"][3, f[1]] = 0
    if write:
        p["W"][kind, i[1]], p["W"][kind, g[1]] = i_, g_
    p["b"][f[1]] = f_
    return p
"""
LAST = "last_outputs: not yet: "
GRU_BACK = """
def answer(k, dy, dh, only=False, slope=1):
    dh = dh if only else dy + dh
    dz = dh * (k.h0 - k.n) * k.z * (1 - k.z)
    dn = dh * (1 - k.z) * (1 - k.n ** 2) ** slope
    return dn * k.hn * k.r * (1 - k.r), dz, dn, dh * k.z
"""
BACK = ["gru_rule_back, da_r: ", "gru_rule_back, da_z: ", "gru_rule_back, da_n: ", "gru_rule_back, dh: "]
DEAD = """
def answer(live, out, h0, y=0):
    return np.where(live[:, None], out, y), np.where(live[:, None], out, h0)
"""
LEAKS = "not yet: NaN: a mask that multiplies lets what stands in a dead row through"

SIGMOID = """
def s(a):
    return 1 / (1 + np.exp(-a))
"""
CLIP = """
def answer(gradients, limit, least=1, power=1):
    norm = np.sqrt(sum((a ** 2).sum() for a in gradients)) ** power
    return [a / max(least, norm / limit) for a in gradients]
"""
REVERSE = """
def answer(a, lengths):
    for row, n in enumerate(lengths):
        a[:n, row] = a[:n, row][::-1].copy()
    return a
"""
TF1_BIAS = """
def answer(b, bR, shift=1, order=(0, 2, 1, 3), recurrent=1, first=False):
    b = (b + recurrent * bR).reshape(4, -1)
    b[2 if first else 1] -= shift
    return b[list(order)].ravel()
"""
JOINED = """
def answer(b, bR, n=0, keep=1, rz=1):
    b, bR = b.reshape(3, -1), bR.reshape(3, -1)
    return np.concatenate([(b + rz * bR)[:2].ravel(), b[2] + n * bR[2]]), keep * bR[2]
"""
ANSWERS = {
    "01_a_loop_and_a_cell": [
        ("check_count(lambda G, I, U: G * U * (I + U + 1))", "count: right"),
        ("check_count(lambda G, I, U: G * U * (I + U))", "count: not yet: the bias is missing"),
        ("check_count(lambda G, I, U: G * U * (I + 1))", "count: not yet: the recurrent weights R are missing"),
        ("check_count(lambda G, I, U: G * U * (U + 1))", "count: not yet: the input weights W are missing"),
        ("check_count(lambda G, I, U: U * (I + U + 1))", "count: not yet: that is one block of several"),
        ("check_count(lambda G, I, U: G * U * (I + U + 2))", "count: not yet: there is one bias, not two"),
        ("check_count(lambda G, I, U: G * (U * (I + U) + 1))", "count: not yet: the bias has a number for each unit of "
         "each block, not one for each block"),
        ("check_count(lambda G, I, U: G * I * (I + U + 1))",
         "count: not yet: W goes from inputs to units: I x U, not I x I"),
        ("check_count(lambda G, I, U: G * U * (I + U) + U)",
         "count: not yet: the bias has a number for each unit of each block, not one for each unit"),
        ("check_count(lambda G, I, U: I * G * U + (G * U) ** 2 + G * U)",
         "count: not yet: R goes from the U units to the blocks, U x G; it is not G x G"),
        ("check_count(lambda G, I, U: 2 * I * G * U + G * U)",
         "count: not yet: R goes from units to units: U x U in each block, not I x U"),
        ("check_count(lambda G, I, U: 7)", "count: not yet: it is 7, expected 132"),
        ("check_count(lambda G, I, U: None)",
         "count: your function returns None: end it with `return`, not with `print`"),
        (GRU_STEP + "check_gru_step_after(answer)", "gru_step_after: right"),
        (GRU_STEP + "check_gru_step_after(lambda *a: answer(*a, swap=True))",
         "gru_step_after: not yet: z keeps the old h here: (1 - z) n + z h"),
        (GRU_STEP + "check_gru_step_after(lambda *a: answer(*a, order=(1, 0, 2)))",
         "gru_step_after: not yet: r and z are exchanged: the blocks stand in the order r z n"),
        (GRU_STEP + "check_gru_step_after(lambda *a: answer(*a, bias=0))",
         "gru_step_after: not yet: the second bias bR is missing"),
        (GRU_STEP + "check_gru_step_after(lambda *a: answer(*a, outside=1))",
         "gru_step_after: not yet: the bias bR of n stands outside the reset"),
        (GRU_STEP + "check_gru_step_after(lambda *a: answer(*a, reset=0))",
         "gru_step_after: not yet: the reset gate is not used"),
        (GRU_STEP + "check_gru_step_after(lambda *a: answer(*a, candidate=sigmoid))",
         "gru_step_after: not yet: the candidate n goes through tanh, not through the sigmoid"),
        (GRU_STEP + "check_gru_step_after(lambda *a: answer(*a, candidate=lambda a: a))",
         "gru_step_after: not yet: the candidate n goes through tanh"),
        ("check_gru_step_after(lambda p, x, h: gru_step_before(p | {'b': p['b'] + p['bR']}, x, h))",
         "gru_step_after: not yet: the reset stands before the product"),
        (GRU_STEP + "check_gru_step_after(lambda *a: answer(*a, bias=np.repeat([0, 0, 1], U)))",
         "gru_step_after: not yet: the bias bR is missing in r and z: it is added to all three"),
        (GRU_STEP + "check_gru_step_after(lambda *a: answer(*a, inside=1))",
         "gru_step_after: not yet: the bias b of n stands inside the reset: only bR belongs there"),
        (GRU_STEP + "check_gru_step_after(lambda *a: answer(*a, first=0))",
         "gru_step_after: not yet: the first bias b is missing"),
        (GRU_STEP + "check_gru_step_after(reset_all)",
         "gru_step_after: not yet: the reset multiplies h R alone, not x W too"),
        (GRU_STEP + "check_gru_step_after(candidate_of)",
         "gru_step_after: not yet: that is the candidate n: mix it with the old h"),
        ("check_gru_step_after(gru_step_before)",
         "gru_step_after: not yet: that is the cell with the reset before the product, and without bR"),
        ("check_gru_step_after(lambda p, x, h: x)", "gru_step_after: the answer has shape (2, 4), expected (2, 5)"),
        ("check_last_outputs(lambda ys, lengths: ys[lengths - 1, range(len(lengths))])", "last_outputs: right"),
        ("check_last_outputs(lambda ys, lengths: ys[-1])",
         "last_outputs: not yet: that is step T - 1 of every row, zero where a row has ended"),
        ("check_last_outputs(lambda ys, lengths: ys[0])", "last_outputs: not yet: those are the first outputs"),
        ("check_last_outputs(lambda ys, lengths: ys[lengths - 2, range(5)])",
         "last_outputs: not yet: that is one step too early"),
        ("check_last_outputs(lambda ys, lengths: ys.sum(0))", "last_outputs: not yet: those are sums over time"),
        ("check_last_outputs(lambda ys, lengths: ys.mean(0))", "last_outputs: not yet: those are means over time"),
        ("check_last_outputs(lambda ys, lengths: np.array([ys[n - 1, row] for row, n in enumerate(lengths)]))",
         "last_outputs: right"),
        ("check_last_outputs(lambda ys, lengths: ys[lengths, np.arange(len(lengths))])",
         LAST + "steps count from 0: a row of n steps ends at step n - 1"),
        ("check_last_outputs(lambda ys, lengths: ys[np.arange(len(lengths)), lengths - 1])",
         LAST + "an index is too large: time is the first axis of ys, the row the second"),
        ("check_last_outputs(lambda ys, lengths: ys[:, lengths - 1])",
         LAST + "time is the first axis of ys, the row the second"),
        ("check_last_outputs(lambda ys, lengths: ys[lengths - 1])",
         LAST + "that takes these steps of all rows: pick one row with each, its own"),
        ("check_last_outputs(lambda ys, lengths: ys[:, -1])", LAST + "those are all steps of the last row"),
        (REWIRE + "check_rewire(answer)", "rewire: right"),
        (REWIRE + "check_rewire(lambda p: answer(p, clear=False, forget=True))",
         "rewire: not yet: it still counts letters and forgets at spaces: set those weights to 0"),
        (REWIRE + "check_rewire(lambda p: answer(p, clear=False))", "rewire: not yet: it still writes at letters"),
        (REWIRE + "check_rewire(lambda p: answer(p, forget=True))", "rewire: not yet: it still forgets at spaces"),
        (REWIRE + "check_rewire(lambda p: answer(p, clear=False, write=False))",
         "rewire: not yet: it still counts letters, and opening brackets not yet"),
        (REWIRE + "check_rewire(lambda p: answer(p, kind=1))",
         "rewire: not yet: those are the closing brackets: the row of W is that of the other kind"),
        (REWIRE + "check_rewire(lambda p: answer(p, i_=S))",
         "rewire: not yet: i is half open: its bias is -S, so it takes 2 S to open it"),
        (REWIRE + "check_rewire(lambda p: answer(p, g_=1))",
         "rewire: not yet: g is tanh(1) at a bracket: S makes it 1"),
        (REWIRE + "check_rewire(lambda p: answer(p, g_=-S))",
         "rewire: not yet: it counts downwards: g must be +1"),
        (REWIRE + "check_rewire(lambda p: answer(p, f_=-S))", "rewire: not yet: f is shut, so nothing is kept"),
        (REWIRE + "check_rewire(lambda p: answer(p, i_=1, g_=1))",
         "rewire: not yet: nothing is ever written: i opens with 2 S against its bias of -S, and g needs a value"),
        (REWIRE + "check_rewire(lambda p: None)",
         "rewire: your function returns None: end it with `return`, not with `print`"),
        (REWIRE + "check_rewire(lambda p: answer(p, write=False))",
         "rewire: not yet: nothing is ever written: i opens with 2 S against its bias of -S, and g needs a value"),
        ("check_rewire(lambda p: p)", "rewire: not yet: unit 1 is as it was"),
    ],
    "02_backward_through_time": [
        ("check_dsoftsign(lambda y, dy: dy * (1 - abs(y)) ** 2)", "dsoftsign: right"),
        ("check_dsoftsign(lambda y, dy: dy * (1 - y) ** 2)", "dsoftsign: not yet: it needs |y|, not y"),
        (GRU_BACK + "check_gru_rule_back(answer)", "\n".join(said + "right" for said in BACK)),
        (GRU_BACK + "check_gru_rule_back(lambda *a: answer(*a, only=True))",
         "\n".join(said + "not yet: dy is missing in dh'" for said in BACK)),
        (GRU_BACK + "check_gru_rule_back(lambda *a: (..., *answer(*a, slope=0)[1:3], ...))",
         BACK[0] + "not answered yet\n" + BACK[1] + "right\n" + BACK[2]
         + "not yet: in dh' * (1 - z) * (1 - n^2) the factor (1 - n^2) is missing\n" + BACK[3] + "not answered yet"),
        ("check_gru_rule_back(lambda *a: a)", "gru_rule_back: 3 results, expected 4: da_r, da_z, da_n, dh"),
        ("check_peephole_dc(lambda p, f, dc, di, df: dc * f + p['Wpi'] * di + p['Wpf'] * df)", "peephole_dc: right"),
        ("check_peephole_dc(lambda p, f, dc, di, df: dc * f)",
         "peephole_dc: not yet: the peepholes are missing: i and f also saw the old c"),
        ("check_peephole_dc(lambda p, f, dc, di, df: dc * f + p['Wpi'] * di)",
         "peephole_dc: not yet: the term Wpf * da_f is missing"),
        ("check_peephole_dc(lambda p, f, dc, di, df: dc * f + p['Wpi'] * di - p['Wpf'] * df)",
         "peephole_dc: not yet: the term Wpf * da_f has the wrong sign"),
        ("check_peephole_dc(lambda p, f, dc, di, df: dc * f + di + p['Wpf'] * df)",
         "peephole_dc: not yet: in Wpi * da_i the factor Wpi is missing"),
        ("check_all_dR(lambda hs, das: hs.reshape(-1, 4).T @ das.reshape(-1, 16))", "all_dR: right"),
        ("check_all_dR(lambda hs, das: hs[-1].T @ das[-1])", "all_dR: not yet: that is the last step alone"),
        ("check_all_dR(lambda hs, das: hs.mean(1).T @ das.sum(1))", None),
    ],
    "04_gradients_through_time": [
        (SIGMOID + "check_half_life(lambda b: np.log(0.5) / np.log(s(b)))", "half_life: right"),
        (SIGMOID + "check_half_life(lambda b: np.log(s(b)) / np.log(0.5))",
         "half_life: not yet: the quotient is upside down"),
        (SIGMOID + "check_half_life(lambda b: -1 / np.log(s(b)))",
         "half_life: not yet: that is the time to 1/e, not to one half"),
        (SIGMOID + "check_half_life(s)", "half_life: not yet: that is f itself"),
        (SIGMOID + "check_half_life(lambda b: np.log(2) / np.log(s(b)))",
         "half_life: not yet: the sign is wrong: a half-life is positive"),
        (SIGMOID + "check_half_life(lambda b: 1 / (1 - s(b)))",
         "half_life: not yet: 1 / (1 - f) is the mean life of small steps, not the half-life"),
        ("check_half_life(lambda b: b + 1)", None),
        ("check_back_one_step(lambda d, h, R: (d * (1 - h ** 2)) @ R.T)", "back: right"),
        ("check_back_one_step(lambda d, h, R: (d * (1 - h ** 2)) @ R)",
         "back: not yet: R must be transposed on the way back"),
        ("check_back_one_step(lambda d, h, R: d @ R.T)", "back: not yet: the slope of tanh is missing"),
        ("check_back_one_step(lambda d, h, R: (d * (1 - np.tanh(h) ** 2)) @ R.T)",
         "back: not yet: the slope of tanh is 1 - tanh(a)^2, and h is tanh(a) already"),
        ("check_back_one_step(lambda d, h, R: (d * (1 - h)) @ R.T)",
         "back: not yet: 1 - h is not the slope of tanh: h is to be squared"),
        ("check_back_one_step(lambda d, h, R: (d * h * (1 - h)) @ R.T)",
         "back: not yet: h (1 - h) is the slope of the sigmoid, not of tanh"),
        ("check_back_one_step(lambda d, h, R: (d @ R.T) * (1 - h ** 2))",
         "back: not yet: the slope belongs before the product with R, to dh of the new state"),
        ("check_scaled(lambda R, r: R * r / abs(np.linalg.eigvals(R)).max())", "scale: right"),
        ("check_scaled(lambda R, r: R * r / np.linalg.norm(R, 2))",
         "scale: not yet: that is the largest stretch (the 2-norm), not the spectral radius"),
        ("check_scaled(lambda R, r: R * r / np.linalg.norm(R))",
         "scale: not yet: that is the Frobenius norm, not the spectral radius"),
        ("check_scaled(lambda R, r: R * r)", "scale: not yet: R is multiplied by the radius, but it had one already"),
        ("check_scaled(lambda R, r: R / r * abs(np.linalg.eigvals(R)).max())",
         "scale: not yet: radius and the old radius are exchanged"),
        (CLIP + "check_clip(answer)", "clip: right"),
        (CLIP + "check_clip(lambda g, t: answer(g, t, least=0))",
         "clip: not yet: gradients below the limit must stay as they are"),
        (CLIP + "check_clip(lambda g, t: [answer([a], t)[0] for a in g])",
         "clip: not yet: each array is clipped by itself: the direction of the step changes"),
        (CLIP + "check_clip(lambda g, t: [np.clip(a, -t, t) for a in g])",
         "clip: not yet: entries are cut off one by one: the direction of the step changes"),
        (CLIP + "check_clip(lambda g, t: answer(g, t, power=2))",
         "clip: not yet: the square root of the sum of squares is missing"),
        ("check_clip(lambda g, t: [a / max(1, sum(np.linalg.norm(b) for b in g) / t) for a in g])",
         "clip: not yet: that is the sum of the norms of the arrays, not the norm of all together"),
        ("check_clip(lambda g, t: g)", "clip: not yet: nothing is clipped"),
        ("check_forget_bias(lambda T: -np.log(2 ** (1 / T) - 1))", "forget_bias: right"),
        ("check_forget_bias(lambda T: 0.5 ** (1 / T))",
         "forget_bias: not yet: that is f; the bias is what the sigmoid makes f of"),
        ("check_forget_bias(lambda T: np.log(2 ** (1 / T) - 1))",
         "forget_bias: not yet: the sign is wrong: that gate forgets nearly all"),
        ("check_forget_bias(lambda T: np.log(T - 1))",
         "forget_bias: not yet: with f = 1 - 1/T a share of 1/e is left after T steps, and one half was asked for"),
    ],
    "06_from_rule_to_kernel": [
        ("check_place(lambda row, u, block, blocks, n: (row * blocks + block) * n + u)", "place: right"),
        ("check_place(lambda row, u, block, blocks, n: (row * n + u) * blocks + block)",
         "place: not yet: that is [rows, n, blocks]: neighbouring units would not be neighbours"),
        ("check_place(lambda row, u, block, blocks, n: (row + block) * n + u)",
         "place: not yet: a row has blocks * n numbers, not n"),
        ("check_place(lambda row, u, block, blocks, n: row)", None),
        ("check_traffic(lambda B, U, size, keep: B * U * size * (12 if keep else 7))", "traffic: right"),
        ("check_traffic(lambda B, U, size, keep: B * U * size * (16 if keep else 11))",
         "traffic: not yet: ah is null here: it is not read"),
        ("check_traffic(lambda B, U, size, keep: B * U * (12 if keep else 7))",
         "traffic: not yet: those are numbers, not bytes"),
        ("check_traffic(lambda B, U, size, keep: B * U * size * 12)",
         "traffic: not yet: kept is not written without `keep`"),
        ("check_coupled_back(lambda k, dc: dc * (k.c0 - k.g) * k.f * (1 - k.f))", "coupled_back: right"),
        ("check_coupled_back(lambda k, dc: dc * k.c0 * k.f * (1 - k.f))",
         "coupled_back: not yet: f acts through i = 1 - f as well: c' = f c + (1 - f) g"),
        ("check_coupled_back(lambda k, dc: dc * (k.c0 - k.g))",
         "coupled_back: not yet: that is df; the slope of the sigmoid is missing"),
        (DEAD + "check_dead_rows(answer)", "dead_rows, y: right\ndead_rows, h: right"),
        (DEAD + "check_dead_rows(lambda live, out, h0: answer(live, out, h0, h0))",
         "dead_rows, y: not yet: a dead row outputs zero here, its old state is in h\ndead_rows, h: right"),
        ("check_dead_rows(lambda live, out, h0: (live[:, None] * out, live[:, None] * out + ~live[:, None] * h0))",
         f"dead_rows, y: {LEAKS}\ndead_rows, h: {LEAKS}"),
        ("check_dead_rows(lambda live, out, h0: out)", "dead_rows: expected two results: y, h"),
    ],
    "08_one_cell_seven_conventions": [
        ("check_keras_kernel(lambda w: w.reshape(3, -1, w.shape[1])[[1, 0, 2]].reshape(w.shape).T)",
         "keras_kernel: right"),
        ("check_keras_kernel(lambda w: w.T)", "keras_kernel: not yet: the blocks are still in the order r z n"),
        ("check_keras_kernel(lambda w: w.reshape(3, -1, w.shape[1])[[1, 0, 2]].reshape(w.shape[::-1]))",
         "keras_kernel: not yet: each block is to be transposed, not the numbers read in another shape"),
        ("check_keras_kernel(lambda w: w.reshape(3, -1, w.shape[1])[[1, 2, 0]].reshape(w.shape).T)",
         "keras_kernel: not yet: n belongs last: Keras has z r h"),
        ("check_keras_kernel(lambda w: w)", "keras_kernel: the answer has shape (12, 3), expected (3, 12)"),
        ("check_keras_kernel(lambda w: w.T + 1)", None),
        (TF1_BIAS + "check_tf1_bias(answer)", "tf1_bias: right"),
        (TF1_BIAS + "check_tf1_bias(lambda b, bR: answer(b, bR, 0))",
         "tf1_bias: not yet: 1 is still to be subtracted from the bias of f"),
        (TF1_BIAS + "check_tf1_bias(lambda b, bR: answer(b, bR, -1))",
         "tf1_bias: not yet: the sign: it adds 1 when it runs, so 1 less is stored"),
        (TF1_BIAS + "check_tf1_bias(lambda b, bR: answer(b, bR, order=(0, 1, 2, 3)))",
         "tf1_bias: not yet: the blocks are still in the order i f g o"),
        (TF1_BIAS + "check_tf1_bias(lambda b, bR: answer(b, bR, first=True))",
         "tf1_bias: not yet: 1 is subtracted from the third block before the order is changed: that is g"),
        (TF1_BIAS + "check_tf1_bias(lambda b, bR: answer(b, bR, recurrent=0))",
         "tf1_bias: not yet: the recurrent bias is missing"),
        (JOINED + "check_joined_biases(answer)", "joined: right"),
        (JOINED + "check_joined_biases(lambda b, bR: answer(b, bR, n=1))",
         "joined: not yet: r multiplies the recurrent bias of n: it stays apart, and in one place"),
        (JOINED + "check_joined_biases(lambda b, bR: answer(b, bR, n=1, keep=0))",
         "joined: not yet: all are added, and n has none left"),
        (JOINED + "check_joined_biases(lambda b, bR: answer(b, bR, rz=0))",
         "joined: not yet: the recurrent biases of r and z are missing"),
        ("check_joined_biases(lambda b, bR: b)",
         "joined: the answer is to be two arrays: b, and the recurrent bias of n"),
        ("check_haiku_z(lambda a: -a)", "haiku_z: right"),
        ("check_haiku_z(lambda a: a)", "haiku_z: not yet: that is the z of the others: here it keeps the old state"),
        ("check_haiku_z(lambda a: 1 - a)", "haiku_z: not yet: 1 - a is not the argument of 1 - sigma(a)"),
        ("check_haiku_z(lambda a: 1 - sigma(a))",
         "haiku_z: not yet: that is z itself, and the argument of the sigmoid was asked for"),
        ("check_offset(lambda i, u: 4 * u * i + u * u)", "offset: right"),
        ("check_offset(lambda i, u: u * u)", "offset: not yet: the four matrices of x come first"),
        ("check_offset(lambda i, u: 4 * u * i)", "offset: not yet: that is where R_i begins"),
        ("check_offset(lambda i, u: 4 * u * i + 2 * u * u)",
         "offset: not yet: that is where R_g begins: f is the second gate"),
        ("check_offset(lambda i, u: 2 * u * i + u * u)",
         "offset: not yet: the matrices of one gate are not next to each other"),
    ],
    "11_padding_and_masks": [
        ("check_mask_of(lambda n, T: np.arange(T)[:, None] < n)", "mask_of: right"),
        ("check_mask_of(lambda n, T: np.arange(T)[:, None] <= n)",
         "mask_of: not yet: a row of length n has the steps 0 to n - 1"),
        ("check_mask_of(lambda n, T: np.arange(T)[:, None] >= n)",
         "mask_of: not yet: True is where a row is live, not where it is padded"),
        ("check_mask_of(lambda n, T: np.arange(T)[::-1, None] < n)", "mask_of: not yet: that is padding in front"),
        ("check_mask_of(lambda n, T: np.arange(T) < n[:, None])",
         "mask_of: the answer has shape (3, 6), expected (6, 3)"),
        ("check_carry(lambda new, old, m: np.where(m[:, None], new, old))", "carry: right"),
        ("check_carry(lambda new, old, m: np.where(m[:, None], old, new))",
         "carry: not yet: old and new are exchanged"),
        ("check_carry(lambda new, old, m: new * m[:, None])",
         "carry: not yet: a row that has ended keeps its state; it is not set to zero"),
        ("check_carry(lambda new, old, m: new)", "carry: not yet: nothing is kept"),
        ("check_carry(lambda new, old, m: new * m[:, None] + old)",
         "carry: not yet: that adds the two in place of choosing one"),
        ("check_masked_mean(lambda loss, m: (loss * m).sum() / m.sum())", "masked_mean: right"),
        ("check_masked_mean(lambda loss, m: loss.mean())", "masked_mean: not yet: padded places are in the sum"),
        ("check_masked_mean(lambda loss, m: (loss * m).mean())",
         "masked_mean: not yet: the sum is over live places, and so must be the number it is divided by"),
        ("check_masked_mean(lambda loss, m: loss[m].sum())", "masked_mean: not yet: that is the sum, not the mean"),
        ("check_masked_mean(lambda loss, m: ((loss * m).sum(0) / m.sum(0)).mean())",
         "masked_mean: not yet: the mean of the means of rows: a step of a short row counts for more"),
        (REVERSE + "check_reverse_rows(answer)", "reverse_rows: right"),
        ("check_reverse_rows(lambda a, n: a[::-1])",
         "reverse_rows: not yet: the whole array is reversed: padding comes first"),
        ("check_reverse_rows(lambda a, n: a)", "reverse_rows: not yet: nothing is reversed"),
        ("check_reverse_rows(lambda a, n: a[:, ::-1])",
         "reverse_rows: not yet: the rows of the batch are reversed, not their steps"),
        (REVERSE + "check_reverse_rows(lambda a, n: answer(a, np.maximum(n - 1, 0)))",
         "reverse_rows: not yet: one step too few is reversed in each row"),
        ("check_positions(lambda ys, m: ys[len(m) - 1 - m[::-1].argmax(0), range(3)])", "last_live: right"),
        ("check_positions(lambda ys, m: ys[-1])",
         "last_live: not yet: that is the last step of the array, live or not"),
        ("check_positions(lambda ys, m: ys[m.sum(0) - 1, range(3)])",
         "last_live: not yet: the number of live steps is not the place of the last one: the mask has holes"),
        ("check_positions(lambda ys, m: ys[m[::-1].argmax(0), range(3)])",
         "last_live: not yet: argmax of the reversed mask counts from the end"),
    ],
    "12_when_float32_means_nothing": [
        ("check_steps_left(lambda eps, lam: -np.log(eps) / lam)", "steps_left: right"),
        ("check_steps_left(lambda eps, lam: np.log(eps) / lam)",
         "steps_left: not yet: the sign is wrong: log(eps) is negative"),
        ("check_steps_left(lambda eps, lam: -np.log10(eps) / lam)",
         "steps_left: not yet: the exponent is in natural logarithms, not in those of base 10"),
        ("check_steps_left(lambda eps, lam: 1 / (eps * lam))", "steps_left: not yet: an error does not grow by adding: "
         "it is multiplied by exp(lambda) in each step"),
        ("check_push(lambda d, h, R: (d @ R) * (1 - h ** 2))", "push: right"),
        ("check_push(lambda d, h, R: (d * (1 - h ** 2)) @ R.T)",
         "push: not yet: that is how gradients go back, not how differences go forward"),
        ("check_push(lambda d, h, R: d @ R)", "push: not yet: the slope of tanh is missing"),
        ("check_push(lambda d, h, R: np.tanh(d @ R))",
         "push: not yet: a small difference goes through the slope of tanh, not through tanh"),
        ("check_growth(lambda n: np.log(n[-1] / n[0]) / (len(n) - 1))", "growth: right"),
        ("check_growth(lambda n: np.log(n[-1] / n[0]) / len(n))",
         "growth: not yet: there is one step fewer than there are norms"),
        ("check_growth(lambda n: np.log(n[-1]))",
         "growth: not yet: that is the growth over all steps: divide by their number"),
        ("check_growth(lambda n: (n[-1] / n[0]) ** 0.25)",
         "growth: not yet: that is the factor of a step, exp(lambda)"),
        ("check_first_lost(lambda a, b, e: (abs(a - b) > e).any(1).argmax())", "first_lost: right"),
        ("check_first_lost(lambda a, b, e: abs(a - b).max(1).argmax())",
         "first_lost: not yet: that is the step of the largest difference, not the first above the limit"),
        ("check_first_lost(lambda a, b, e: 1 + (abs(a - b) > e).any(1).argmax())",
         "first_lost: not yet: steps are counted from 0"),
        ("check_first_lost(lambda a, b, e: (a - b > e).any(1).argmax())",
         "first_lost: not yet: the single one is below the double one: take the absolute difference"),
        ("check_first_lost(lambda a, b, e: (abs(a - b) > 0).any(1).argmax())",
         "first_lost: not yet: a difference below the limit is rounding"),
    ],
} | {name: answers for module in (notebook_answers_text, notebook_answers_check, notebook_answers_keras,
                                  notebook_answers_cpu) for name, answers in module.ANSWERS.items()}
