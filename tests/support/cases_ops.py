"""Calls of every operation of rnnref.ops that has a gradient: {name: [(args, options)]}, as users write them.

Arrays of floats are what the laws differentiate by; they lie away from kinks and ties.
"""
import numpy as np

rng = np.random.default_rng(0)


def R(*shape):
    return rng.normal(size=shape)


def P(*shape):
    """Positive, and not near 0."""
    return rng.uniform(0.5, 2, size=shape)


def U(*shape):
    """Within (-0.9, 0.9)."""
    return rng.uniform(-0.9, 0.9, size=shape)


def D(*shape):
    """All entries differ by at least 0.3, and none is near an integer or a half."""
    n = int(np.prod(shape))
    return (rng.permutation(np.arange(n) - n // 2) * 0.3 + 0.13).reshape(shape)


def ids(n, *shape):
    return rng.integers(0, n, shape)


def one(*arrays):
    return [((a,), {}) for a in arrays]


TWO = [((R(3, 4), R(3, 4)), {}), ((R(3, 4), R(4)), {}), ((R(2, 1, 4), R(3, 1)), {}), ((R(3), 2.5), {}),
       ((2.5, R(3)), {}),
       ((R(), R(2, 3)), {}), ((R(0, 3), R(3)), {})]
DIVIDED = [((R(3, 4), P(4)), {}), ((R(2, 1, 4), P(3, 1)), {}), ((2.0, P(3)), {}), ((P(3, 1), P()), {}), ((R(3), 3), {})]
AXES = [{}, {"axis": 1}, {"axis": -1, "keepdims": True}, {"axis": (0, 2)}, {"axis": (-1, 1), "keepdims": True},
        {"axis": [0, -1]}, {"keepdims": True}, {"axis": (0, 1, 2)}]
OVER = [((R(3, 4, 2),), o) for o in AXES] + [((R(),), {}), ((R(1, 3),), {"axis": 0}), ((R(2, 1, 3),), {"axis": 1})]
EXTREME = [((D(3, 4, 2),), o) for o in AXES] + [((D(3, 4),), {"axis": 1, "initial": 0.1})]
ALONG = [((R(3, 4, 2),), {"axis": k}) for k in (0, 1, -1, -3)] + [((R(4),), {}), ((R(3, 1),), {}), ((R(3, 4),), {})]
SMOOTH = [((R(3, 4),), {}), ((R(),), {}), ((R(2, 0, 3),), {})]

CASES = {
    "divide": DIVIDED, "mod": [((D(3, 4), P(4) + 3), {}), ((D(4), 2.5), {})],
    "fmod": [((D(3, 4), P(4) + 3), {}), ((D(4), 2.5), {})],
    "divide_no_nan": DIVIDED + [((R(3), np.array([0, 1, 2])), {})],
    "power": [((P(3, 4), 2), {}), ((P(5), 3.0), {}), ((P(3, 4), R(4)), {}), ((2.0, R(3)), {}),
              ((P(2, 1, 4), R(3, 1)), {}),
              ((R(3), 2), {}), ((P(3), np.array([1, 2, 3])), {})],
    "arctan2": [((R(3, 4) + 3, R(4)), {}), ((P(2, 1), 0.5), {})], "hypot": [((P(3, 4), R(4)), {}), ((P(3), 2.0), {})],
    "where": [((R(3, 4) > 0, R(3, 4), R(4)), {}), ((R(3, 1) > 0, R(4), 0.0), {}),
              ((R(4) > 0, R(2, 1, 4), R(3, 1)), {})],
    "select": [(([R(3) > 0, R(3) > 0], [R(3), R(3)]), {"default": 1.0}), (([R(3) > 0], [R(2, 3)], R(3)), {})],
    "matmul": [((R(*a), R(*b)), {}) for a, b in (
        ((3, 4), (4, 2)), ((5, 3, 4), (4, 2)), ((5, 3, 4), (5, 4, 2)), ((4,), (4, 2)), ((3, 4), (4,)), ((4,), (4,)),
        ((2, 1, 3, 4), (5, 4, 2)), ((4,), (5, 4, 2)), ((5, 3, 4), (4,)), ((0, 4), (4, 2)), ((5, 1, 4), (1, 4, 1)))],
    "einsum": [((s, *(R(*shape) for shape in shapes)), {}) for s, *shapes in (
        ("ij,jk->ik", (2, 3), (3, 4)), ("bij,ijkl->bkl", (5, 2, 3), (2, 3, 4, 2)), ("ij,jk", (2, 3), (3, 4)),
        ("...ij,jk->...ik", (5, 2, 3), (3, 4)), ("ij->j", (2, 3)), ("ij,k->i", (2, 3), (4,)), ("ij->", (2, 3)),
        ("ij,jk,kl->il", (2, 3), (3, 2), (2, 4)), ("...ij,...ji->...", (5, 1, 2, 3), (4, 3, 2)), ("i,i->", (3,), (3,)),
        ("ij->ji", (2, 3)), ("b...,b->b...", (2, 3, 4), (2,)))],
    "tensordot": [((R(3, 4, 5), R(4, 5, 2)), {"axes": 2}), ((R(3, 4), R(2, 3)), {"axes": (0, 1)}),
                  ((R(3, 4, 5), R(5, 3, 2)), {"axes": ([0, 2], [1, 0])}), ((R(2), R(3)), {"axes": 0}),
                  ((R(3, 4), R(4, 3)), {"axes": ([-1, 0], [0, -1])})],
    "dot": [((R(3, 4), R(4, 2)), {}), ((R(4), R(4)), {}), ((R(2, 3, 4), R(4)), {}), ((R(3, 4), R(2, 4, 5)), {})],
    "inner": [((R(3, 4), R(2, 4)), {}), ((R(4), R(4)), {})], "outer": [((R(3), R(4)), {}), ((R(2, 2), R(3)), {})],
    "vdot": [((R(2, 3), R(2, 3)), {})],
    "clip": [((D(3, 4),), {"x_min": -0.5, "x_max": 0.7}), ((D(4), None, 0.5), {}), ((D(4), 0.2, None), {})],
    "concatenate": [(([R(2, 3), R(2, 1), R(2, 2)],), {"axis": -1}), (([R(2, 3), R(1, 3)], 0), {}), (([R(2)],), {}),
                    (([R(2, 3), R(2, 0)], 1), {}), ((R(2, 3, 2),), {})],
    "stack": [(([R(2, 3), R(2, 3)],), {"axis": k}) for k in (0, 1, -1, 2)] + [(([R(), R()],), {})],
    "split": [((R(6, 4), 3), {}), ((R(2, 5), [1, 3]), {"axis": -1}), ((R(2, 5), [-1]), {"axis": 1}),
              ((R(2, 3), 1), {})],
    "array_split": [((R(5, 2), 3), {}), ((R(2, 5), 2, -1), {})], "unstack": [((R(3, 2),), {}), ((R(3, 2), 2, -1), {})],
    "vsplit": [((R(4, 2), 2), {})], "hsplit": [((R(2, 4), 2), {}), ((R(4), [1]), {})],
    "dsplit": [((R(2, 2, 4), 2), {})],
    "vstack": [(([R(3), R(2, 3)],), {})], "hstack": [(([R(3), R(2)],), {}), (([R(2, 1), R(2, 3)],), {})],
    "dstack": [(([R(2), R(2)],), {}), (([R(2, 3), R(2, 3)],), {})],
    "append": [((R(2), R(3)), {}), ((R(2, 3), R(1, 3)), {"axis": 0}), ((R(2, 3), R(2)), {})],
    "reshape": [((R(6, 4), (3, -1)), {}), ((R(6), 6), {}), ((R(1), ()), {})], "ravel": one(R(2, 3), R()),
    "transpose": [((R(2, 3, 4),), {}), ((R(2, 3, 4), (1, 2, 0)), {}), ((R(2, 3, 4),), {"axes": (-1, 0, 1)})],
    "swapaxes": [((R(2, 3, 4), 0, -1), {})],
    "moveaxis": [((R(2, 3, 4), 0, -1), {}), ((R(2, 3, 4), (0, 1), (-1, 0)), {})],
    "expand_dims": [((R(2, 3),), {"axis": k}) for k in (0, 1, -1, (0, -1), [1, 2])],
    "squeeze": [((R(2, 1, 3, 1),), {}), ((R(2, 1, 3, 1),), {"axis": 1}), ((R(2, 1, 3, 1), (1, -1)), {})],
    "flip": [((R(2, 3),), {}), ((R(2, 3), 1), {}), ((R(2, 3, 4),), {"axis": (0, -1)})], "fliplr": one(R(2, 3)),
    "flipud": one(R(2, 3)), "broadcast_to": [((R(3, 1), (2, 3, 4)), {}), ((R(), (2,)), {}), ((R(2), (2,)), {})],
    "repeat": [((R(2, 3), 2), {"axis": k}) for k in (0, 1, -1, None)],
    "tile": [((R(2, 3), n), {}) for n in (2, (2, 1), (3, 1, 2), (1, 2))] + [((R(2, 1, 3), 2), {})],
    "roll": [((R(2, 3), 1), {}), ((R(2, 3), -2), {"axis": 1}), ((R(2, 3), (1, 1)), {"axis": (0, 1)})],
    "pad": [((R(2, 3), ((1, 2), (0, 1))), {}), ((R(2, 3), 1), {"constant_values": 3.0}), ((R(3), (2, 0)), {})],
    "meshgrid": [((R(2), R(3)), {}), ((R(2), R(3), R(2)), {"indexing": "ij"}), ((R(2), R(3), R(4)), {})],
    "diff": [((R(5),), {}), ((R(4, 3),), {"axis": 0}), ((R(2, 5),), {"n": 2})],
    "get_item": [((R(4, 5), k), {}) for k in (
        1, slice(1, 3), (slice(None), -1), (Ellipsis, None, 2), ids(4, 5), (ids(4, 2, 5), ids(5, 2, 5)), R(4, 5) > 0,
        (slice(None, None, -2), slice(3, None)), (np.array([0, 0, 1]), slice(None)), np.int64(2), (None, 0, 1), ())],
    "slice": [((R(4, 5), (1, 2), (2, 3)), {}), ((R(4, 5), (1, 0), (-1, 2)), {})],
    "take": [((R(4, 5), ids(4, 2, 5)), {"axis": k}) for k in (0, 1, -1, None)] + [((R(4, 5), 2), {"axis": 1})],
    "take_along_axis": [((R(3, 4), ids(4, 3, 2)), {"axis": -1}), ((R(3, 4), ids(3, 2, 4), 0), {}),
                        ((R(3, 4), ids(12, 5)), {})],
    "sort": [((D(3, 4),), {}), ((D(3, 4), 0), {})], "top_k": [((D(3, 5), 2), {}), ((D(4), 4), {})],
    "diagonal": [((R(3, 4),), {}), ((R(3, 4), 1), {}), ((R(4, 3), -1), {}), ((R(2, 3, 3),), {"axis1": 1, "axis2": 2}),
                 ((R(2, 3, 3),), {"axis1": -1, "axis2": 0})],
    "trace": [((R(3, 4),), {}), ((R(2, 3, 3),), {"axis1": 1, "axis2": 2})],
    "diag": [((R(3),), {}), ((R(3), -1), {}), ((R(3, 4), 1), {})], "diagflat": [((R(2, 2),), {})],
    "tril": [((R(3, 4),), {}), ((R(2, 3, 3), -1), {})], "triu": [((R(3, 4),), {}), ((R(2, 3, 3), 1), {})],
    "scatter": [((np.array([[0], [2], [0]]), R(3), (4,)), {}), ((np.array([[0, 1], [2, 2]]), R(2, 3), (3, 3, 3)), {})],
    "scatter_update": [((R(4), np.array([[0], [2]]), R(2)), {}), ((R(3, 3), np.array([[0, 1], [2, 2]]), R(2)), {}),
                       ((R(4), np.array([[0], [0]]), R(2)), {"reduction": "add"})],
    "slice_update": [((R(4, 5), (1, 2), R(2, 3)), {})],
    "segment_sum": [((R(4, 2), np.array([0, 2, 0, 1])), {"num_segments": 4}),
                    ((R(3), np.array([0, 1, 1])), {"num_segments": 2})],
    "cast": [((R(3), "float64"), {})], "copy": one(R(3)),
    "nan_to_num": [((np.array([1.0, np.nan, np.inf, 2]),), {"posinf": 3.0})],
    "prod": OVER + one(np.array([2.0, 0.0, 3.0]), np.array([0.0, 0.0, 3.0])), "std": OVER[1:8],
    "cumprod": ALONG[:4] + one(np.array([2.0, 0.0, 3.0])) + [((R(2, 3),), {"axis": None})],
    "cumsum": ALONG[:4] + [((R(2, 3),), {"axis": None}), ((R(3),), {"dtype": "float64"})],
    "softmax": ALONG + [((R(3, 4, 2),), {"axis": (0, 2)}), ((R(3, 4) * 300,), {})],
    "sparsemax": [((R(3, 4),), {}), ((R(3, 4), 0), {}), ((R(2, 5) / 10,), {})],
    "average": [((R(3, 4),), {}), ((R(3, 4), 1, P(4)), {}), ((R(3, 4),), {"axis": 0, "weights": P(3, 4)}),
                ((R(3), None, P(3)), {})],
    "moments": [((R(3, 4, 2), [0, 1]), {}), ((R(3, 4), -1), {"keepdims": True})],
    "norm": [((R(3, 4),), o) for o in ({}, {"axis": 1}, {"ord": 1, "axis": 0}, {"ord": 3, "axis": -1, "keepdims": True},
                                       {"ord": "fro", "axis": (0, 1)})] + [((D(5), float("inf")), {"axis": 0})],
    "normalize": [((R(3, 4),), o) for o in ({}, {"axis": 0}, {"order": 3}, {"order": 1})],
    "trapezoid": [((R(3, 4),), {}), ((R(4), np.array([0.0, 1, 3, 4])), {}), ((R(4, 3),), {"dx": 0.5, "axis": 0})],
    "nanmax": one(np.array([1.0, np.nan, 3.0])), "nanmin": one(np.array([1.0, np.nan, 3.0])),
    "gelu": [((R(3, 4),), {}), ((R(3, 4) * 2,), {"approximate": False})], "glu": [((R(3, 4),), {}), ((R(4, 3), 0), {})],
    "elu": [((D(3, 4),), {}), ((D(3),), {"alpha": 0.7})], "celu": [((D(3, 4),), {}), ((D(3),), {"alpha": 0.7})],
    "leaky_relu": [((D(3, 4),), {}), ((D(3), 0.1), {})], "hard_shrink": [((D(3, 4),), {}), ((D(3), 0.2), {})],
    "soft_shrink": [((D(3, 4),), {}), ((D(3), 0.2), {})], "threshold": [((D(3, 4), 0.4, 7.0), {})],
    "squareplus": [((R(3, 4),), {}), ((R(3), 2), {})],
    "batch_normalization": [((R(3, 4, 2), R(4), P(4), 1), {"offset": R(4), "scale": R(4)}),
                            ((R(3, 4), R(4), P(4), -1), {})],
    "layer_normalization": [((R(3, 4),), {}), ((R(3, 4), R(4), R(4)), {"epsilon": 0.1}),
                            ((R(2, 3, 4),), {"axis": (1, 2)}),
                            ((R(2, 3, 4), R(3)), {"axis": 1})],
    "rms_normalization": [((R(3, 4),), {}), ((R(3, 4), R(4)), {"epsilon": 0.1})],
    "dot_product_attention": [
        ((R(2, 3, 4, 5), R(2, 6, 4, 5), R(2, 6, 4, 5)), {}),
        ((R(2, 3, 4, 5), R(2, 3, 2, 5), R(2, 3, 2, 5)), {"is_causal": True}),
        ((R(1, 3, 1, 2), R(1, 3, 1, 2), R(1, 3, 1, 2)), {"bias": R(1, 1, 3, 3), "scale": 0.3}),
        ((R(1, 3, 1, 2), R(1, 3, 1, 2), R(1, 3, 1, 2)),
         {"mask": np.tril(np.ones((1, 1, 3, 3), bool)), "is_causal": True})],
    "categorical_crossentropy": [((P(3, 4), R(3, 4)), {"from_logits": True}), ((P(3, 4), P(3, 4)), {}),
                                 ((P(4, 3), P(4, 3)), {"axis": 0})],
    "sparse_categorical_crossentropy": [((ids(4, 3), R(3, 4)), {"from_logits": True}), ((ids(4, 3), P(3, 4)), {}),
                                        ((ids(4, 2, 3, 1), P(2, 3, 4)), {}), ((ids(4, 2, 3), P(2, 4, 3)), {"axis": 1})],
    "binary_crossentropy": [((U(3, 4), R(3, 4)), {"from_logits": True}), ((U(3, 4), P(3, 4) / 3), {})],
    "ctc_loss": [((np.array([[1, 1, 2], [3, 0, 0], [2, 3, 0], [1, 0, 0]]), R(4, 6, 4), np.array([3, 1, 2, 0]),
                   np.array([6, 4, 5, 3])), {}),
                 ((np.array([[0, 1]]), R(1, 5, 3), np.array([2]), np.array([5])), {"mask_index": 2})],
    "vectorized_map": [((lambda x: x * x, R(3, 2)), {})], "map": [((lambda x: x[0] * x[1], [R(3, 2), R(3)]), {})],
    "associative_scan": [((lambda a, b: a * b, P(4, 2)), {}),
                         ((lambda a, b: a + b, R(2, 4)), {"axis": 1, "reverse": True})],
    "scan": [((lambda c, x: (c * x + x, c * x), R(2), R(4, 2)), {}),
             ((lambda c, x: (c * 2, c), R(2)), {"length": 3, "reverse": True})],
    "while_loop": [((lambda i, x: i < 3, lambda i, x: (i + 1, x * x), (0, P(2))), {})],
    "fori_loop": [((0, 3, lambda i, x: x * x, P(2)), {})],
    "switch": [((1, [None, lambda x: x * x], R(2)), {})],
    "ptp": [((D(3, 4),), {"axis": 1}), ((D(5),), {"keepdims": True})], "deg2rad": one(R(3)), "rad2deg": one(R(3)),
    "convert_to_tensor": one(R(3)), "array": one(R(3)),
    "saturate_cast": [((R(3), "float64"), {})],
}
CASES |= {n: TWO for n in "add subtract multiply maximum minimum logaddexp logaddexp2".split()}
CASES |= {n: OVER for n in "sum mean var logsumexp".split()} | {n: EXTREME for n in ("max", "min")}
CASES |= {n: ALONG for n in ("log_softmax",)}
CASES |= {n: [((np.array([[1.0, np.nan, 3.0], [4.0, 2.0, np.nan]]),), o) for o in ({}, {"axis": 1},
                                                                                   {"axis": 0, "keepdims": True})]
          for n in "nansum nanmean nanprod".split()}
CASES |= {n: [((np.array([[1.0, np.nan, 3.0, 7.0]]),), o) for o in ({}, {"axis": 1})] for n in ("nanvar", "nanstd")}
CASES |= {n: SMOOTH for n in """sigmoid tanh softplus silu exp exp2 expm1 square negative sin cos sinh cosh arctan
    arcsinh erf erfc log_sigmoid tanh_shrink softsign tan""".split()}
CASES |= {n: one(D(3, 4)) for n in """relu relu6 selu hard_sigmoid hard_tanh hard_silu sparse_plus sparse_sigmoid
    absolute cbrt reciprocal""".split()}
CASES |= {n: one(P(3, 4)) for n in "log log2 log10 log1p sqrt rsqrt".split()}
CASES |= {n: one(U(3, 4)) for n in ("arcsin", "arccos", "arctanh")} | {"arccosh": one(P(3, 4) + 1)}

EDGES = {                                         # indices that occur twice, numbers, letters of "...", flat places
    "scatter_update": [((R(4, 2), np.array([[0], [2], [-4]]), R(3, 2)), {}),
                       ((R(3, 2), np.array([[0, 1], [2, 0], [0, 1], [0, 1]]), R(4)), {})],
    "einsum": [(("...Zj,jY->...ZY", R(5, 3, 2), R(2, 4)), {}), ((",ij->ij", R(), R(2, 3)), {})],
    "dot": [((R(), R(2, 3)), {}), ((R(2, 3), R()), {})], "inner": [((R(3), R()), {}), ((R(), R(2, 3)), {})],
    "power": [((np.array([0.0, 2.0]), 0.0), {})], "prod": [((R(2, 0), 1), {})],
}
CASES |= {name: CASES[name] + more for name, more in EDGES.items()}
