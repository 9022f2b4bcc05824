"""Faults of three budgets of the first checker, in a gradient of weights or in one time step: today's must see them."""
import numpy as np

from rnnref.check.budget import measure_budgets
from rnnref.check.candidate import GRADIENT, OUTPUT
from tests.support.correct_cases import draw_case
from tests.support.first_budget import measure_first_budgets

FAULT = 3.0
OWN_ERROR = 0.2                                   # of a budget: what a correct candidate may err already
LARGEST_RATIO = 1.5                               # of the median budget to that of the first checker


def plant_faults(seeds):
    """{group: [whether a fault is seen]} in these cases of torch, and the median ratio of the budgets."""
    from rnnref.check.of_torch import wrap_torch
    seen, ratios = {GRADIENT: [], OUTPUT: []}, []
    for seed in seeds:
        module, x, options = draw_case("torch", seed)
        rng = np.random.default_rng(seed)
        candidate = wrap_torch(module, x, rng, lengths=options.get("lengths"))
        with np.errstate(all="ignore"):
            names = tuple(candidate.run_reference(candidate.arrays).results)
            budgets = measure_budgets(candidate, rng, names)
            first = measure_first_budgets(candidate, rng, budgets.cotangents)
        for name, budget in budgets.by_name.items():
            before, description = first[name], candidate.descriptions[name]
            both = budget.comparable & (before > 0)
            ratios += [np.median(budget.allowed[both] / before[both])] if both.any() else []
            fault = both & (FAULT * before > budget.allowed + OWN_ERROR * before)
            if description.group == OUTPUT:
                steps = [np.moveaxis(a, description.time, 0) for a in (both, fault)]
                seen[OUTPUT] += [bool(f.any()) for b, f in zip(*steps) if b.any()]
            elif name[1:] in candidate.arrays and name[1:].startswith(("weight", "bias")) and both.any():
                seen[GRADIENT].append(bool(fault.any()))
    return seen, float(np.median(ratios))
