"""Answers to the exercises of notebooks 3 and 5, right ones and wrong ones, and what the checks must say to them."""

SOFTMAX = """
def soft(a, axis=-1):
    e = np.exp(a - a.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def picked(a, y):
    return a[np.arange(len(y)), y]
"""
CUT = """
def answer(ids, rows, steps, shift=1, without=1):
    n = (len(ids) - without) // (rows * steps)
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
        (SOFTMAX + "check_bits(lambda a, y: -np.log2(soft(a)[:, y]).mean())",
         "bits: not yet: p[:, y] picks these columns of every row: pick one in each row"),
        (SOFTMAX + "check_bits(lambda a, y: -np.log2(soft(a)).mean())",
         "bits: not yet: that is the mean surprise at all kinds: take the one that came"),
        (SOFTMAX + "check_bits(lambda a, y: -(soft(a) * np.log2(soft(a))).sum(1).mean())", "bits: not yet: that is the "
         "surprise which the model expects (its entropy): take the character that came"),
        (SOFTMAX + "check_bits(lambda a, y: np.exp(-np.log(picked(soft(a), y)).mean()))",
         "bits: not yet: that is the perplexity: the bits are its logarithm in base 2"),
        (SOFTMAX + "check_bits(lambda a, y: -np.log2(picked(soft(a), y)))",
         "bits: the answer has shape (6,), expected ()"),
        (SOFTMAX + "check_bits(lambda a, y: -np.log2(picked(soft(a), y)).mean() / np.log(2))",
         "bits: not yet: log2 gives bits already: do not divide by log(2) again"),
        (SOFTMAX + "check_bits(lambda a, y: -np.log2(picked(soft(a), y)).sum() / a.size)",
         "bits: not yet: divide by the number of predictions N, not by that of all numbers"),
        (SOFTMAX + "with np.errstate(invalid='ignore'):\n    check_bits(lambda a, y: -np.log2(picked(a, y)).mean())",
         "bits: not yet: some logits are negative, so their logarithm is NaN: the softmax is missing"),
        ("check_bits(lambda a, y: None)", "bits: your function returns None: end it with `return`, not with `print`"),
        ("check_logit_gradient(lambda p, y: (p - np.eye(4)[y]) / len(y))", "gradient: right"),
        ("check_logit_gradient(lambda p, y: (p - np.eye(4)[y]) / p.shape[1])",
         "gradient: not yet: divide by the number of rows, not by that of the kinds"),
        ("check_logit_gradient(lambda p, y: (p - np.eye(4)[y]) / len(y) / np.log(2))",
         "gradient: not yet: that is the gradient in bits; it is asked for in nats"),
        (SOFTMAX + "check_logit_gradient(lambda p, y: (soft(p) - np.eye(4)[y]) / len(y))",
         "gradient: not yet: p are probabilities already: no second softmax"),
        ("check_logit_gradient(lambda p, y: (p - y[:, None]) / len(y))",
         "gradient: not yet: y are numbers of kinds: subtract 1 at the place y, not y"),
        ("check_logit_gradient(lambda p, y: p - y[:, None])",
         "gradient: not yet: y are numbers of kinds: subtract 1 at the place y, not y; "
         "then divide by the number of rows"),
        ("check_logit_gradient(lambda p, y: (p + np.eye(4)[y]) / len(y))",
         "gradient: not yet: at the right one 1 is subtracted, not added"),
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
        (SOFTMAX + "check_temperature(lambda a, t: soft(a))", "probabilities: not yet: the temperature has no effect: "
         "it is not used, or tau cancels in the quotient"),
        (SOFTMAX + "check_temperature(lambda a, t: soft(a - t))",
         "probabilities: not yet: the temperature has no effect: it is not used, or tau cancels in the quotient"),
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
        (CUT + "check_lanes(lambda *a: list(answer(*a)))", "cut, x: right\ncut, y: right"),
        (CUT + "check_lanes(lambda *a: answer(*a, without=0))", "cut, x: right\ncut, y: right\n"
         "cut, 24 characters: not yet: the last character has no target, so len(ids) - 1 can be read at most"),
        ("check_lanes(lambda ids, B, T: [np.stack([ids[s + 13 * np.arange(2)[:, None] + w * T + np.arange(T)] "
         "for w in range(3)]) for s in (0, 1)])",
         "cut, x: not yet: a lane is windows * steps characters, 12 here, and the next begins right behind it\n"
         "cut, y: not yet: it is your x one character further on: when x is right, y will be"),
        ("check_lanes(lambda ids, B, T: None)",
         "cut: your function returns None: end it with `return`, not with `print`"),
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
         "windows\ncut, y: not yet: it is your x one character further on: when x is right, y will be"),
        ("check_lanes(lambda ids, B, T: (ids[:24].reshape(B, -1, T), ids[1:25].reshape(B, -1, T)))",
         "cut, x: the answer has shape (2, 3, 4), expected (3, 2, 4)\n"
         "cut, y: not yet: it is your x one character further on: when x is right, y will be"),
        (CUT + "check_lanes(lambda ids, B, T: (answer(ids, B, T)[0], ids[1:25].reshape(-1, B, T)))",
         "cut, x: right\ncut, y: not yet: x and y must be cut alike"),
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
        ("check_draw(lambda p, u: len(p) - 1 - (np.cumsum(p[::-1]) > 1 - u).argmax())", "draw: right"),
        ("check_draw(lambda p, u: (np.cumsum(p) > 1 - u).argmax())",
         "draw: not yet: the line begins with kind 0 at the left, where u is 0"),
        ("check_draw(lambda p, u: np.argsort(p)[(np.sort(p).cumsum() > u).argmax()])",
         "draw: not yet: the pieces lie in the order of the kinds, not in that of their lengths"),
        ("check_draw(lambda p, u: np.argsort(-p)[(np.sort(p)[::-1].cumsum() > u).argmax()])",
         "draw: not yet: the pieces lie in the order of the kinds, not the longest first"),
        ("draws = np.random.default_rng(0)\ncheck_draw(lambda p, u: draws.choice(len(p), p=p))",
         "draw: not yet: the same p and u give another kind each time: u is the random number, draw no other"),
        ("check_draw(lambda p, u: np.random.default_rng(0).choice(len(p), p=p))",
         "draw: not yet: it is always the same kind: u is not used"),
        ("check_draw(lambda p, u: p[(np.cumsum(p) > u).argmax()])",
         "draw: not yet: that is the probability of the kind, not its number"),
        ("check_draw(lambda p, u: np.searchsorted(p, u))",
         "draw: not yet: searchsorted needs the sums so far, cumsum(p), not p"),
        ("check_draw(lambda p, u: 4 * (u > 0.5))", "draw: not yet: for u = 0.25 it is 0, expected 1"),
        ("check_draw(lambda p, u: None)", "draw: your function returns None: end it with `return`, not with `print`"),
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
}
