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
REVERSE = """
def answer(a, lengths):
    for row, n in enumerate(lengths):
        a[:n, row] = a[:n, row][::-1].copy()
    return a
"""
SOFTMAX = """
def soft(a, axis=-1):
    e = np.exp(a - a.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def picked(a, y):
    return a[np.arange(len(y)), y]
"""
CUT = """
def answer(ids, rows, steps, shift=1):
    n = (len(ids) - 1) // (rows * steps)
    x, y = (a[:rows * n * steps].reshape(rows, n, steps).swapaxes(0, 1) for a in (ids, np.roll(ids, -shift)))
    return x, y
"""
LOOP = """
def loop(step):
    def answer(i, f, g):
        c, cs = 0.0, []
        for gates in zip(i, f, g):
            c = step(c, *gates)
            cs.append(c)
        return np.array(cs)
    return answer
"""
WIRE = """
def answer(**other):
    names = dict(zip(("open", "shut", "a", "b"), "()ab"))
    return lambda: {"(": (0, 0, 0), ")": (0, 1, 0), "a": (1, 1, 1), "b": (0, 1, 0)} | {
        names[name]: gates for name, gates in other.items()}
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
    "03_a_character_model": [
        (SOFTMAX + "check_bits(lambda a, y: -np.log2(picked(soft(a), y)).mean())", "bits: right"),
        (SOFTMAX + "check_bits(lambda a, y: -np.log(picked(soft(a), y)).mean())",
         "bits: not yet: those are nats: divide by log(2), or take log2"),
        (SOFTMAX + "check_bits(lambda a, y: -np.log(2) * np.log(picked(soft(a), y)).mean())",
         "bits: not yet: nats are divided by log(2), not multiplied"),
        (SOFTMAX + "check_bits(lambda a, y: np.log2(picked(soft(a), y)).mean())",
         "bits: not yet: the sign is wrong: a surprise is positive"),
        (SOFTMAX + "check_bits(lambda a, y: -np.log2(picked(soft(a), y)).sum())",
         "bits: not yet: that is the sum over all places, not the mean"),
        (SOFTMAX + "check_bits(lambda a, y: -np.log2(picked(soft(a), y).mean()))",
         "bits: not yet: the logarithm comes first, then the mean"),
        (SOFTMAX + "check_bits(lambda a, y: -picked(a, y).mean() / np.log(2))",
         "bits: not yet: logits are no probabilities yet: the softmax is missing"),
        (SOFTMAX + "check_bits(lambda a, y: -np.log2(picked(soft(a, 0), y)).mean())",
         "bits: not yet: the softmax goes over the kinds of characters, the last axis"),
        (SOFTMAX + "check_bits(lambda a, y: -np.log2(picked(np.exp(a) / np.exp(a).sum(), y)).mean())",
         "bits: not yet: each row has a softmax of its own"),
        (SOFTMAX + "check_bits(lambda a, y: -np.log2(soft(a)[:, y]).mean())", None),
        (SOFTMAX + "check_bits(lambda a, y: -np.log2(soft(a)).mean())",
         "bits: not yet: that is the mean surprise at all kinds: take the one that came"),
        (SOFTMAX + "check_bits(lambda a, y: -(soft(a) * np.log2(soft(a))).sum(1).mean())", "bits: not yet: that is the "
         "surprise which the model expects (its entropy): take the character that came"),
        (SOFTMAX + "check_bits(lambda a, y: np.exp(-np.log(picked(soft(a), y)).mean()))",
         "bits: not yet: that is the perplexity: the bits are its logarithm in base 2"),
        (SOFTMAX + "check_bits(lambda a, y: -np.log2(picked(soft(a), y)))",
         "bits: the answer has shape (6,), expected ()"),
        ("check_logit_gradient(lambda p, y: (p - np.eye(4)[y]) / len(y))", "gradient: right"),
        ("check_logit_gradient(lambda p, y: p - np.eye(4)[y])",
         "gradient: not yet: the loss is a mean: divide by the number of rows"),
        ("check_logit_gradient(lambda p, y: (np.eye(4)[y] - p) / len(y))",
         "gradient: not yet: the sign is wrong: at the right one it is p - 1, below zero"),
        ("check_logit_gradient(lambda p, y: (p - np.eye(4)[y]) / p.size)",
         "gradient: not yet: divide by the number of rows, not by that of all numbers"),
        ("check_logit_gradient(lambda p, y: -np.eye(4)[y] / p / len(y))",
         "gradient: not yet: that is the gradient with regard to p, not to the logits"),
        ("check_logit_gradient(lambda p, y: p / len(y))",
         "gradient: not yet: at the right one 1 is to be subtracted"),
        ("check_logit_gradient(lambda p, y: (p - 1) / len(y))",
         "gradient: not yet: 1 is subtracted at the right one alone; the others keep p"),
        ("check_logit_gradient(lambda p, y: (p - 1) * np.eye(4)[y] / len(y))",
         "gradient: not yet: the others have a gradient too: p"),
        ("check_logit_gradient(lambda p, y: p * (1 - p) / len(y))",
         "gradient: not yet: that is the slope of a sigmoid: in a softmax all logits act on all p"),
        ("check_logit_gradient(lambda p, y: p / len(y) - np.eye(4)[y])",
         "gradient: not yet: the 1 has to be divided by the number of rows too"),
        (SOFTMAX + "check_temperature(lambda a, t: soft(a / t))", "probabilities: right"),
        (SOFTMAX + "check_temperature(lambda a, t: soft(a) ** (1 / t) / (soft(a) ** (1 / t)).sum(1, keepdims=True))",
         "probabilities: right"),
        (SOFTMAX + "check_temperature(lambda a, t: soft(a * t))",
         "probabilities: not yet: the temperature divides the logits; you multiply"),
        (SOFTMAX + "check_temperature(lambda a, t: soft(a))", "probabilities: not yet: the temperature is not used"),
        (SOFTMAX + "check_temperature(lambda a, t: soft(a) / t)",
         "probabilities: not yet: the temperature acts on the logits, before the softmax"),
        (SOFTMAX + "check_temperature(lambda a, t: soft(soft(a) / t))",
         "probabilities: not yet: that is a second softmax, of probabilities"),
        (SOFTMAX + "check_temperature(lambda a, t: soft(a) ** (1 / t))",
         "probabilities: not yet: p to the power of 1 / tau must be made to sum to 1 again"),
        (SOFTMAX + "check_temperature(lambda a, t: soft(a / t, 0))",
         "probabilities: not yet: the sum goes over the kinds, the last axis"),
        ("check_temperature(lambda a, t: np.exp(a / t))",
         "probabilities: not yet: they do not sum to 1: divide by their sum"),
        ("check_temperature(lambda a, t: np.exp(a / t) / np.exp(a / t).sum())",
         "probabilities: not yet: each row has its own sum"),
        ("check_temperature(lambda a, t: a / t)",
         "probabilities: not yet: those are logits: the exponential is missing"),
        ("check_temperature(lambda a, t: np.eye(4)[a.argmax(1)])",
         "probabilities: not yet: that is 1 at the likeliest: temperature 0"),
        (CUT + "check_lanes(answer)", "cut, x: right\ncut, y: right"),
        (CUT + "check_lanes(lambda *a: answer(*a, shift=0))", "cut, x: right\ncut, y: not yet: the target is the next "
         "character, not the one that is read"),
        (CUT + "check_lanes(lambda *a: answer(*a, shift=2))",
         "cut, x: right\ncut, y: not yet: that is one place too far"),
        (CUT + "check_lanes(lambda *a: (answer(*a)[0], np.roll(answer(*a)[0], -1, 2)))", "cut, x: right\n"
         "cut, y: not yet: the last target of a window is the first input of the next, not its own first"),
        (CUT + "check_lanes(lambda *a: (answer(*a)[0], np.roll(answer(*a)[0], -1, 0)))", "cut, x: right\n"
         "cut, y: not yet: the targets are one character further on, not one window"),
        ("check_lanes(lambda ids, B, T: (ids[:24].reshape(-1, B, T), ids[1:25].reshape(-1, B, T)))",
         "cut, x: not yet: row 1 must go on where row 1 of the window before ended: cut into lanes first, then into "
         "windows\ncut, y: not yet: x and y must be cut alike"),
        ("check_lanes(lambda ids, B, T: (ids[:24].reshape(B, -1, T), ids[1:25].reshape(B, -1, T)))",
         "cut, x: the answer has shape (2, 3, 4), expected (3, 2, 4)\n"
         "cut, y: the answer has shape (2, 3, 4), expected (3, 2, 4)"),
        ("check_lanes(lambda ids, B, T: ids)", "cut: expected two results: x, y"),
        ("check_draw(lambda p, u: int((np.cumsum(p) > u).argmax()))", "draw: right"),
        ("check_draw(lambda p, u: np.searchsorted(np.cumsum(p), u, side='right'))", "draw: right"),
        ("check_draw(lambda p, u: p.argmax())", "draw: not yet: that is always the likeliest one: u is not used"),
        ("check_draw(lambda p, u: 1 + int((np.cumsum(p) > u).argmax()))", "draw: not yet: that is one too far"),
        ("check_draw(lambda p, u: int((np.cumsum(p) > u).argmax()) - 1)",
         "draw: not yet: that is one too early"),
        ("check_draw(lambda p, u: int(u * len(p)))",
         "draw: not yet: all kinds are drawn alike: p is not used"),
        ("check_draw(lambda p, u: abs(p - u).argmin())", "draw: not yet: that is the kind whose p is nearest to u"),
        ("check_draw(lambda p, u: (p > u).argmax())",
         "draw: not yet: compare u with the sum so far, not with each p by itself"),
        ("check_draw(lambda p, u: abs(np.cumsum(p) - u).argmin())",
         "draw: not yet: that is where the sum is nearest to u: take the first that is above it"),
        ("check_draw(lambda p, u: (np.cumsum(np.sort(p)) > u).argmax())",
         "draw: not yet: p has been sorted: the numbers of the kinds are lost"),
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
    "05_the_gate_film": [
        (LOOP + "check_memory(loop(lambda c, i, f, g: f * c + i * g))", "memory: right"),
        (LOOP + "check_memory(loop(lambda c, i, f, g: c + i * g))", "memory: not yet: the forget gate is missing"),
        (LOOP + "check_memory(loop(lambda c, i, f, g: f * c + g))", "memory: not yet: the input gate is missing"),
        (LOOP + "check_memory(loop(lambda c, i, f, g: f * c + i))", "memory: not yet: the candidate is missing"),
        (LOOP + "check_memory(loop(lambda c, i, f, g: f * (c + i * g)))",
         "memory: not yet: f keeps the old c; what is written now is not forgotten at once"),
        (LOOP + "check_memory(loop(lambda c, i, f, g: (1 - f) * c + i * g))",
         "memory: not yet: f is what is kept, not what is forgotten"),
        (LOOP + "check_memory(loop(lambda c, i, f, g: i * c + f * g))", "memory: not yet: i and f are exchanged"),
        (LOOP + "check_memory(loop(lambda c, i, f, g: np.tanh(f * c + i * g)))",
         "memory: not yet: c itself is not squashed; tanh comes on its way to h"),
        ("check_memory(lambda i, f, g: i * g)", "memory: not yet: nothing is carried from step to step"),
        ("check_memory(lambda i, f, g: f)", None),
        ("check_shares(lambda i, f, g: i * g * np.append(np.cumprod(f[:0:-1])[::-1], 1))", "shares: right"),
        ("check_shares(lambda i, f, g: i * g * np.cumprod(f[::-1])[::-1])",
         "shares: not yet: a step is not forgotten by its own f, only by those after it"),
        ("check_shares(lambda i, f, g: i * g * np.cumprod(f))",
         "shares: not yet: the product runs up to the step; it has to begin after it"),
        ("check_shares(lambda i, f, g: i * g)",
         "shares: not yet: nothing is forgotten here: the product of the later f is missing"),
        ("check_shares(lambda i, f, g: np.append(np.cumprod(f[:0:-1])[::-1], 1))",
         "shares: not yet: that is how much of each step is kept: times what it wrote, i g"),
        ("check_shares(lambda i, f, g: i * g * np.append(np.cumsum(f[:0:-1])[::-1], 0))",
         "shares: not yet: forget gates multiply; they do not add up"),
        (LOOP + "check_shares(loop(lambda c, i, f, g: f * c + i * g))",
         "shares: not yet: those are the running sums, the values of c"),
        ("check_find(lambda cs, d: abs(np.corrcoef(cs.T, d)[-1, :-1]).argmax())", "find: right"),
        ("check_find(lambda cs, d: np.corrcoef(cs.T, d)[-1, :-1].argmax())",
         "find: not yet: a counter may run downwards: take the absolute value of the correlation"),
        ("check_find(lambda cs, d: abs((cs - cs.mean(0)).T @ (d - d.mean())).argmax())",
         "find: not yet: that one is large: a covariance grows with the numbers, a correlation does not"),
        ("check_find(lambda cs, d: abs(cs - d[:, None]).mean(0).argmin())", "find: not yet: that unit is nearest "
         "to the depth in value; a counter may have a scale of its own"),
        ("check_find(lambda cs, d: abs(np.corrcoef(cs.T, np.gradient(d))[-1, :-1]).argmax())",
         "find: not yet: that unit follows the change of the depth, not the depth"),
        ("check_find(lambda cs, d: abs(np.corrcoef(cs.T, d)[-1, :-1]).max())", "find: not yet: the number of the unit "
         "was asked for, not its correlation, nor that without the sign"),
        (WIRE + "check_wire(answer())", "wire: right"),
        (WIRE + "check_wire(answer(open=(0, 1, 0)))",
         "wire: not yet: it counts, but it never begins anew at an opening bracket: f must be 0 there"),
        (WIRE + "check_wire(answer(shut=(0, 0, 0)))", "wire: not yet: it begins anew at both kinds of brackets"),
        (WIRE + "check_wire(answer(open=(0, 1, 0), shut=(0, 0, 0)))",
         "wire: not yet: it begins anew at closing brackets: it should at opening ones"),
        (WIRE + "check_wire(answer(b=(1, 1, 1)))", "wire: not yet: b is counted too"),
        (WIRE + "check_wire(answer(open=(1, 0, 1)))",
         "wire: not yet: the bracket itself is counted: i must be 0 there"),
        (WIRE + "check_wire(answer(a=(0, 1, 1)))", "wire: not yet: nothing is ever written: i and g of a"),
        (WIRE + "check_wire(answer(a=(1, 1, -1)))", "wire: not yet: it counts downwards: g is 1"),
        (WIRE + "check_wire(answer(a=(1, 0, 1), b=(0, 0, 0), shut=(0, 0, 0)))",
         "wire: not yet: nothing is kept: f must be 1 where it should go on"),
        (WIRE + "check_wire(answer(open=(1, 1, 1), shut=(1, 1, -1), a=(0, 1, 0)))",
         "wire: not yet: it counts the brackets, not the letters a"),
        (WIRE + "check_wire(answer(a=(20, 1, 1)))",
         "wire: not yet: gates lie between 0 and 1, the candidate between -1 and 1"),
        ("check_wire(lambda: (1, 1, 1))", 'wire: expected {"(": (i, f, g), ")": ..., "a": ..., "b": ...}'),
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
}
