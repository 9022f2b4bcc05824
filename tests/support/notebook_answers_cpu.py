"""Answers to the exercises of notebook 13, right ones and wrong ones, and what the checks must say to them."""

HALF = "np.repeat([0.5, 0.5, 1, 0.5], W.shape[1] // 4)"
ANSWERS = {
    "13_fast_on_a_cpu": [
        ("check_flops(lambda B, T, I, U: 8 * B * T * U * (I + U))", "flops: right"),
        ("check_flops(lambda B, T, I, U: 4 * B * T * U * (I + U))",
         "flops: not yet: a multiplication and an addition are two"),
        ("check_flops(lambda B, T, I, U: 2 * B * T * U * (I + U))", "flops: not yet: there are four gates"),
        ("check_flops(lambda B, T, I, U: 8 * B * T * U * I)", "flops: not yet: h is multiplied too, by R"),
        ("check_flops(lambda B, T, I, U: 8 * B * U * (I + U))", "flops: not yet: those of one step"),
        ("check_flops(lambda B, T, I, U: 1)", None),
        (f"check_fold(lambda W: W * {HALF})", "fold: right"),
        ("check_fold(lambda W: W / 2)", "fold: not yet: the candidate g is a tanh of its own: it is not halved"),
        (f"check_fold(lambda W: W * 2 * {HALF})", "fold: not yet: the tanh of a sigmoid sees a / 2"),
        (f"check_fold(lambda W: W * np.roll({HALF}, 2))", "fold: not yet: the third block is g"),
        ("check_fold(lambda W: W.T)", "fold: the answer has shape (8, 3), expected (3, 8)"),
        ("check_coupled(lambda t, c, g: 0.5 * (c + g + t * (c - g)))", "coupled: right"),
        ("check_coupled(lambda t, c, g: c + g + t * (c - g))", "coupled: not yet: f = (1 + t) / 2: that is twice c'"),
        ("check_coupled(lambda t, c, g: t * c + (1 - t) * g)",
         "coupled: not yet: t is tanh(a / 2), not yet a sigmoid"),
        ("check_coupled(lambda t, c, g: 0.5 * (c + g - t * (c - g)))",
         "coupled: not yet: f keeps the old c, 1 - f lets g in"),
        ("check_weight_gradient(lambda x, d: x.reshape(-1, x.shape[2]).T @ d.reshape(-1, d.shape[2]))",
         "weight_gradient: right"),
        ("check_weight_gradient(lambda x, d: np.einsum('tbi,tbg->ig', x, d) / len(x))",
         "weight_gradient: not yet: a sum over steps, not their mean"),
        ("check_weight_gradient(lambda x, d: np.einsum('tbi,tbg->ig', x, d) / x.shape[1])",
         "weight_gradient: not yet: a sum over rows too, not their mean"),
        ("check_weight_gradient(lambda x, d: np.outer(x.sum((0, 1)), d.sum((0, 1))))",
         "weight_gradient: not yet: that is the product of sums"),
    ],
}
