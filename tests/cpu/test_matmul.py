"""The form of a product: a pure function of sizes, dtype and processor, whose result is the product."""
import numpy as np
import pytest

from rnnref.check.tolerance import tolerance
from rnnref.cpu import matmul
from rnnref.cpu.matmul import Product, choose_rows, load_table


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("M, K, N", ((24, 5, 1), (24, 5, 3), (512, 200, 32), (7, 4, 2)))
def test_every_form_is_the_product(M, K, N, dtype, monkeypatch):
    rng = np.random.default_rng(0)
    w, x = (rng.normal(size=size).astype(dtype) for size in ((M, K), (3, K, N)))
    for rows in (1, M // 3 if M % 3 == 0 else M, M):
        monkeypatch.setattr(matmul, "choose_rows", lambda *_: rows)
        product, out = Product(w, N), np.full((3, M, N), np.nan, dtype)
        for a, b in zip(x if N > 1 else x[..., 0], product.results(out)):
            product.call(a, b)
        want = np.einsum("mk,tkn->tmn", w.astype("longdouble"), x.astype("longdouble"))
        assert abs(out - want).max() <= tolerance("gradient", dtype) * abs(want).max()


def test_an_unknown_processor_takes_one_product():
    assert load_table("no such core") == {} and choose_rows(2048, 769, 32, "float32", "no such core") == 2048
    assert choose_rows(2048, 769, 32, "float16", "SkylakeX") == 2048


def test_chunks_divide_the_rows():
    for M in (64, 100, 2048, 97):
        for K, N in ((65, 1), (769, 32), (4000, 256)):
            for core in ("SkylakeX", "Haswell"):
                rows = choose_rows(M, K, N, "float32", core)
                assert M % rows == 0 and choose_rows(M, K, N, "float32", core) == rows
    assert choose_rows(2048, 769, 32, "float32", "SkylakeX") < 2048      # where small products are known to be faster
