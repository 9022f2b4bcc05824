"""A case in its own dtype beside the same numbers in a wider one."""
from dataclasses import replace

from rnnref.testing.case import PLAIN, Trial
from rnnref.testing.laws import cast_floating
from rnnref.tree import map_structure

FIELDS = "p", "s", "xs", "extra"


def cast_all(one, dtype):
    """The case in a dtype; of 16 bits, each state in the dtype that the cell chooses for it."""
    zeros = one.cell.zeros(one.size[1], one.cell.units(one.p), dtype=dtype)
    s = map_structure(lambda a, z: a.astype(z.dtype), one.s, zeros)
    return replace(one, s=s, **{field: upcast(getattr(one, field), dtype) for field in ("p", "xs", "extra")})


def upcast(tree, dtype):
    return map_structure(lambda a: cast_floating(a, dtype), tree)


def run_in_two_dtypes(small, wide, **options):
    """Results and gradients of a case in its own dtype, and those of the plain loop in a wider one."""
    truth = replace(small, **{field: upcast(getattr(small, field), wide) for field in FIELDS})
    out, tape = small.run(**options)
    d = Trial(small).draw(out)
    grads = small.run_back(tape, d)
    ideal, tape_of_ideal = truth.run(**PLAIN)
    return (out, grads), (ideal, truth.run_back(tape_of_ideal, upcast(d, wide)))
