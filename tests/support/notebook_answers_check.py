"""Answers to the exercises of notebook 7, right ones and wrong ones, and what the checks must say to them."""

ANSWERS = {
    "07_is_my_framework_right": [
        ("check_alone(lambda xs, n, b: xs[:n[b], b:b + 1])", "alone: right"),
        ("check_alone(lambda xs, n, b: xs[:n[b], b])",
         "alone: the answer has shape (2, 2), expected (2, 1, 2)"),
        ("check_alone(lambda xs, n, b: xs[:n[b], :1])", "alone: not yet: that is the beginning of another row"),
        ("check_alone(lambda xs, n, b: xs[:, b:b + 1])", "alone: the answer has shape (4, 1, 2), expected (2, 1, 2)"),
        ("check_first(lambda got, want, e: (abs(got - want) > e).any((1, 2)).argmax())", "first: right"),
        ("check_first(lambda got, want, e: (abs(got - want) > 0).any((1, 2)).argmax())",
         "first: not yet: rounding is below the budget, and no divergence"),
        ("check_first(lambda got, want, e: abs(got - want).max((1, 2)).argmax())",
         "first: not yet: that is where it is largest, or an error without its sign, or steps counted from 1"),
        ("check_moved(lambda a, b: abs(b - a).max() / abs(a).max())", "moved: right"),
        ("check_moved(lambda a, b: abs(b - a).max())", "moved: not yet: divide by the largest entry"),
        ("check_moved(lambda a, b: (b - a).max() / abs(a).max())",
         "moved: not yet: the sign of a change does not matter, its size does"),
        ("check_moved(lambda a, b: abs(b - a).mean() / abs(a).max())",
         "moved: not yet: that is the mean, in which one entry is lost"),
        ("check_moved(lambda a, b: abs(b - a).max() / a.max())", "moved: not yet: the largest entry may be negative"),
        ("check_budget(lambda runs, truth, k: k * abs(runs - truth).max())", "budget: right"),
        ("check_budget(lambda runs, truth, k: k * runs.max())",
         "budget: not yet: what the companions lose is their distance from the truth"),
        ("check_budget(lambda runs, truth, k: k * abs(runs - truth).max(1).min())",
         "budget: not yet: take the largest of all companions"),
        ("check_budget(lambda runs, truth, k: abs(runs - truth).max())", "budget: not yet: the factor is missing"),
    ],
}
