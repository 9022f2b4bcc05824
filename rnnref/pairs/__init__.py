"""The operations that a record knows, each a pair of pure functions: `TABLE` is {name: Op}, named as in keras.ops."""
from . import binary, ctc, elementwise, indexing, products, reductions, shaping
from .table import Op, Part, fit

TABLE: dict[str, Op] = {op.name: op for module in (elementwise, binary, products, reductions, shaping, indexing, ctc)
                        for op in module.OPS}
