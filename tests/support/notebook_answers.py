"""Answers to the exercises of the notebooks, right ones and wrong ones, and what the checks must say to them."""

GRU_STEP = """
def answer(p, x, h, order=(0, 1, 2), swap=False, bias=1):
    (xr, xz, xn), (hr, hz, hn) = ([np.split(a, 3, -1)[n] for n in order]
                                  for a in (x @ p["W"] + p["b"], h @ p["R"] + bias * p["bR"]))
    r, z, n = sigmoid(xr + hr), sigmoid(xz + hz), np.tanh(xn + sigmoid(xr + hr) * hn)
    return z * n + (1 - z) * h if swap else (1 - z) * n + z * h
"""
REWIRE = """
def answer(p, forget=False, write=True):
    p["W"][:, i[1]] = p["W"][:, g[1]] = 0
    if not forget:
        p["W"][3, f[1]] = 0
    if write:
        p["W"][0, i[1]], p["W"][0, g[1]] = 2 * S, S
    return p
"""
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
ANSWERS = {
    "01_a_loop_and_a_cell": [
        ("check_count(lambda G, I, U: G * U * (I + U + 1))", "count: right"),
        ("check_count(lambda G, I, U: G * U * (I + U))", "count: not yet: the bias is missing"),
        ("check_count(lambda G, I, U: 7)", "count: not yet: at [] it is 7, expected 132"),
        (GRU_STEP + "check_gru_step_after(answer)", "gru_step_after: right"),
        (GRU_STEP + "check_gru_step_after(lambda *a: answer(*a, swap=True))",
         "gru_step_after: not yet: z keeps the old h here: (1 - z) n + z h"),
        (GRU_STEP + "check_gru_step_after(lambda *a: answer(*a, order=(1, 0, 2)))",
         "gru_step_after: not yet: the blocks are read in the order z r n"),
        (GRU_STEP + "check_gru_step_after(lambda *a: answer(*a, bias=0))",
         "gru_step_after: not yet: the second bias bR is missing"),
        ("check_gru_step_after(lambda p, x, h: gru_step_before(p | {'b': p['b'] + p['bR']}, x, h))",
         "gru_step_after: not yet: the reset stands before the product"),
        ("check_gru_step_after(lambda p, x, h: x)", "gru_step_after: the answer has shape (2, 4), expected (2, 5)"),
        ("check_last_outputs(lambda ys, lengths: ys[lengths - 1, range(len(lengths))])", "last_outputs: right"),
        ("check_last_outputs(lambda ys, lengths: ys[-1])",
         "last_outputs: not yet: that is step T - 1 of every row, zero where a row has ended"),
        (REWIRE + "check_rewire(answer)", "rewire: right"),
        (REWIRE + "check_rewire(lambda p: answer(p, write=False))",
         "rewire: not yet: nothing is ever written: open i, and give g a value"),
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
    ]}
