"""Cells that are neither LSTM nor GRU: UGRNN, CFN, SRU, IntersectionRNN, NAS, MinimalRNN, MGU, LayerNormGRU, ESN.

The sizes in the docstrings are those of `catalog`.
"""
from typing import Any, Optional

from ..cell import GatedCell, ProjectedCell, TwoStage
from ..errors import check_option
from ..maps.composed import Chain, ConcatInput
from ..maps.dense import Dense, Reservoir, Zero, input_map, recurrent_map
from ..maps.normed import LayerNorm
from ..options import keyword_options
from ..rules import gated
from ..rules.elman import LeakyRule
from ..rules.gru import GRURule
from ..rules.intersection import IntersectionRule
from ..rules.nas import NASRule
from .mgu_before import MGUBefore


@keyword_options(gated.UGRNNRule)
def UGRNN(*, bias: bool = True, recurrent_bias: bool = False, **options: Any) -> TwoStage:
    """The update gate RNN: a GRU without the reset gate.

        z = gate(x W_z + h R_z + b_z + forget_bias)     n = candidate(x W_n + h R_n + b_n)
        h' = z h + (1 - z) n

    Shapes        x [B, I], state (h [B, U]), W [I, 2U], R [U, 2U], b [2U], gate blocks z n
    Options       forget_bias=0.0, gate="sigmoid", candidate="tanh", bias=True, recurrent_bias=False (True: bR [2U])
    Paper         Collins, Sohl-Dickstein & Sussillo, "Capacity and trainability in recurrent neural networks" (2016)
    Same as       TF 1 UGRNNCell (forget_bias=1.0 there), flax MGUCell(reset_gate=False) (z is its f)
    Errors        NotSupported: an option or an activation that is not known

    >>> import numpy as np
    >>> cell, p = UGRNN(), {"W": np.zeros((1, 2)), "R": np.zeros((1, 2)), "b": np.zeros(2)}
    >>> y, new, kept = cell.forward(p, np.ones((1, 1)), cell.rule.State(np.ones((1, 1))))
    >>> float(y[0, 0])
    0.5
    """
    return GatedCell(input_map(bias), recurrent_map(recurrent_bias), gated.UGRNNRule(**options))


@keyword_options(gated.CFNRule)
def CFN(*, bias: bool = True, **options: Any) -> TwoStage:
    """The chaos-free network: h decays to zero when there is no input.

        f = gate(x W_f + h R_f + b_f)                   i = gate(x W_i + h R_i + b_i)
        h' = f activation(h) + i activation(x W_g)

    Shapes        x [B, I], state (h [B, U]), W [I, 3U], gate blocks f i g; R [U, 2U], b [2U] of f and i
    Options       gate="sigmoid", activation="tanh", bias=True; complement=True: 1 - i in the place of i
    Paper         Laurent & von Brecht, "A recurrent neural network without chaos" (2016), eqs. 1-3
    Same as       TF 1 CFNCell (complement=True)
    Errors        NotSupported: an option or an activation that is not known

    >>> import numpy as np
    >>> cell, p = CFN(), {"W": np.zeros((1, 3)), "R": np.zeros((1, 2)), "b": np.zeros(2)}
    >>> y, new, kept = cell.forward(p, np.ones((1, 1)), cell.rule.State(np.ones((1, 1))))
    >>> bool(y[0, 0] == 0.5 * np.tanh(1.0))
    True
    """
    return GatedCell(Dense("W"), Dense("R", "b" if bias else None), gated.CFNRule(**options))


@keyword_options(gated.SRURule)
def SRU(**options: Any) -> TwoStage:
    """The simple recurrent unit: no product depends on the state, so all can be computed before the loop.

        n = x W_n                                       f = gate(x W_f + b_f)
        c' = f c + (1 - f) n                            r = gate(x W_r + b_r)
        y = r activation(c') + (1 - r) x W_x

    Shapes        x [B, I], state (c [B, U]), W [I, 4U], gate blocks n f r x; b [2U] of f and r.  With highway="input"
                  x takes the place of x W_x, W is [I, 3U] and I = U
    Options       gate="sigmoid", activation="tanh", highway="projected" | "input"
    Paper         Lei & Zhang, "Training RNNs as fast as CNNs" (2017), eqs. 3-7
    Same as       TF 1 SRUCell
    Differs from  the later paper of 2018, where f and r see c too
    Errors        NotSupported: an option or an activation that is not known; ShapeError: highway="input" and I != U

    >>> import numpy as np
    >>> cell, p = SRU(), {"W": np.array([[2.0, 0.0, 0.0, 4.0]]), "b": np.zeros(2)}
    >>> y, new, kept = cell.forward(p, np.ones((1, 1)), cell.zeros(1, 1, dtype="float64"))
    >>> float(new.c[0, 0]), bool(y[0, 0] == 0.5 * np.tanh(1.0) + 0.5 * 4)
    (1.0, True)
    """
    rule = gated.SRURule(**options)
    return GatedCell(Dense("W") if rule.highway == "projected" else ConcatInput(Dense("W")), Zero(), rule)


@keyword_options(IntersectionRule)
def IntersectionRNN(*, in_projection: bool = False, bias: bool = True, **options: Any) -> TwoStage:
    """The intersection RNN, gated in time and in depth: y contains x as h' contains h.

        z = gate(x W_z + h R_z + b_z + forget_bias)     n = candidate(x W_n + h R_n + b_n)
        q = gate(x W_q + h R_q + b_q + forget_bias)     v = output(x W_v + h R_v + b_v)
        h' = z h + (1 - z) n                            y = q x + (1 - q) v

    Shapes        x [B, U], state (h [B, U]), W [U, 4U], R [U, 4U], b [4U], gate blocks z n q v.  With
                  `in_projection` x is [B, I] and x Wi + bi takes its place in all equations, Wi [I, U], bi [U]
    Options       in_projection=False, forget_bias=0.0, gate="sigmoid", candidate="tanh", output="relu", bias=True
    Paper         Collins, Sohl-Dickstein & Sussillo, "Capacity and trainability in recurrent neural networks" (2016)
    Same as       TF 1 IntersectionRNNCell (forget_bias=1.0 there)
    Errors        NotSupported: an option or an activation that is not known; ShapeError: I != U without `in_projection`

    >>> import numpy as np
    >>> cell = IntersectionRNN()
    >>> p = {"W": np.zeros((1, 4)), "R": np.zeros((1, 4)), "b": np.zeros(4)}
    >>> y, new, kept = cell.forward(p, np.full((1, 1), 6.0), cell.rule.State(np.ones((1, 1))))
    >>> float(y[0, 0]), float(new.h[0, 0])
    (3.0, 0.5)
    """
    inputs = ConcatInput(input_map(bias))
    inputs = Chain(Dense("Wi", "bi"), inputs) if in_projection else inputs
    return GatedCell(inputs, Dense("R"), IntersectionRule(**options))


@keyword_options()
def NAS(*, projection: Optional[int] = None, projection_clip: Optional[float] = None, bias: bool = True) -> TwoStage:
    """The cell of an architecture search: a tree over eight sums, one of which is a product.

        a0 = sig(x0 + h0)   a1 = relu(x1 + h1)   a2 = sig(x2 + h2)    a3 = relu(x3 h3)
        a4 = tanh(x4 + h4)  a5 = sig(x5 + h5)    a6 = tanh(x6 + h6)   a7 = sig(x7 + h7)
        b0 = tanh(a0 a1)    b1 = tanh(a2 + a3)   b2 = tanh(a4 a5)     b3 = sig(a6 + a7)
        c' = tanh(b0 + c) b1                     h' = tanh(c' tanh(b2 + b3))   (, then h' P)

        where x0 .. x7 = x W and h0 .. h7 = h R + b, so b is in the second factor of a3

    Shapes        x [B, I], state (h [B, H], c [B, U]), W [I, 8U], R [H, 8U], b [8U], gate blocks 0 1 2 3 4 5 6 7,
                  P [U, H] with `projection=H`
    Options       projection=None, projection_clip=None (of h), bias=True
    Paper         Zoph & Le, "Neural architecture search with reinforcement learning" (2017), appendix A
    Same as       TF 1 NASCell (bias=False there unless use_bias)
    Errors        NotSupported: an option that is not known

    >>> import numpy as np
    >>> NAS(bias=False).shapes(3, 2)
    {'W': (3, 16), 'R': (2, 16)}
    """
    cell = GatedCell(Dense("W"), Dense("R", "b" if bias else None), NASRule())
    return ProjectedCell(cell, projection=projection, clip=projection_clip) if projection else cell


@keyword_options()
def MinimalRNN(*, activation: Any = "tanh", gate: Any = "sigmoid", bias: bool = True) -> TwoStage:
    """The minimal RNN: the input is mapped to the units, and one gate mixes it with the state.

        n = activation(x W)                             z = gate(n Z + h R + b)
        h' = z h + (1 - z) n

    Shapes        x [B, I], state (h [B, U]), W [I, U], Z [U, U], R [U, U], b [U]
    Options       activation="tanh", gate="sigmoid", bias=True
    Paper         Chen, "MinimalRNN: toward more interpretable and trainable recurrent neural networks" (2017)
    Same as       TF 1 MinimalRNNCell
    Errors        NotSupported: an option or an activation that is not known

    >>> import numpy as np
    >>> cell = MinimalRNN(activation="linear")
    >>> p = {"W": np.ones((1, 1)), "Z": np.zeros((1, 1)), "R": np.zeros((1, 1)), "b": np.zeros(1)}
    >>> y, new, kept = cell.forward(p, np.full((1, 1), 5.0), cell.rule.State(np.ones((1, 1))))
    >>> float(y[0, 0])
    3.0
    """
    gates = ConcatInput(Dense("Z", "b" if bias else None))
    return GatedCell(Chain(Dense("W"), gates, activation), Dense("R"), gated.MinimalRule(gate))


@keyword_options(gated.MGURule)
def MGU(*, reset: str = "before", bias: bool = True, recurrent_bias: Optional[bool] = None,
        **options: Any) -> TwoStage:
    """The minimal gated unit: one gate is both the update and the reset gate.

        f = gate(x W_f + h R_f + b_f)                   h' = (1 - f) h + f n
        n = candidate(x W_n + (f h) R_n + b_n)          reset="before" the product
        n = candidate(x W_n + f (h R_n + bR_n) + b_n)   reset="after" it

    Shapes        x [B, I], state (h [B, U]), W [I, 2U], R [U, 2U], b [2U], gate blocks f n; bR [2U] with "after"
    Options       reset="before" | "after", gate="sigmoid", candidate="tanh", bias=True; keeps=True:
                  h' = f h + (1 - f) n; recurrent_bias=None: bR if there is b and reset="after"
    Paper         Zhou, Wu, Zhang & Zhou, "Minimal gated unit for recurrent neural networks" (2016), which has
                  reset="before"
    Same as       flax MGUCell ("after", keeps=True, and its bR is zero in f); without its reset gate it is a UGRNN
    Errors        NotSupported: an option or an activation that is not known

    >>> import numpy as np
    >>> cell, p = MGU(), {"W": np.zeros((1, 2)), "R": np.zeros((1, 2)), "b": np.zeros(2)}
    >>> y, new, kept = cell.forward(p, np.ones((1, 1)), cell.rule.State(np.ones((1, 1))))
    >>> float(y[0, 0])
    0.5
    """
    check_option("MGU", "reset", reset, ("before", "after"))
    recurrent_bias = (bias and reset == "after") if recurrent_bias is None else recurrent_bias
    cell = GatedCell if reset == "after" else MGUBefore
    return cell(input_map(bias), recurrent_map(recurrent_bias), gated.MGURule(**options))


@keyword_options(GRURule)
def LayerNormGRU(*, epsilon: float = 1e-5, joint: bool = False, bias: bool = True, **options: Any) -> TwoStage:
    """A GRU with both products layer-normalised, each by itself.

        a = norm(x W) gain + b                          u = norm(h R) gain_r + bR
        r = gate(a_r + u_r)                             z = gate(a_z + u_z)
        n = candidate(a_n + r u_n)                      h' = (1 - z) n + z h

    Shapes        x [B, I], state (h [B, U]), W [I, 3U], R [U, 3U], gain gain_r [3U], b bR [3U], gate blocks r z n
    Options       gate="sigmoid", candidate="tanh", bias=True; epsilon=1e-5, added to the variances; joint=True: all
                  gate blocks normalised together, else each by itself
    Paper         Ba, Kiros & Hinton, "Layer normalization" (2016), eqs. 23-26
    Differs from  the paper, where the blocks r z are normalised together and n by itself
    Errors        NotSupported: an option or an activation that is not known

    >>> import numpy as np
    >>> LayerNormGRU().shapes(2, 1)
    {'W': (2, 3), 'gain': (3,), 'b': (3,), 'R': (1, 3), 'gain_r': (3,), 'bR': (3,)}
    """
    blocks = 1 if joint else 3
    x = LayerNorm(Dense("W"), blocks, "gain", "b" if bias else None, epsilon)
    h = LayerNorm(Dense("R"), blocks, "gain_r", "bR" if bias else None, epsilon)
    return GatedCell(x, h, GRURule(**options))


@keyword_options()
def ESN(*, leak: float = 1.0, activation: Any = "tanh", bias: bool = True, connectivity: float = 0.1,
        spectral_radius: float = 0.9) -> TwoStage:
    """The echo state network, whose own weights are not trained, only a layer that reads its states.

        h' = (1 - leak) h + leak activation(x W + h R + b)

    Shapes        x [B, I], state (h [B, U]), W [I, U], R [U, U], b [U]
    Options       leak=1.0, activation="tanh", bias=True; of R as init.parameters draws it: connectivity=0.1, the part
                  of the units that each unit sees, at least one, and spectral_radius=0.9, the largest absolute
                  eigenvalue
    Paper         Jaeger, "The echo state approach" (2001); leaky units: Jaeger et al. (2007), eq. 2
    Same as       SimpleRNN, with leak=1; TF Addons ESNCell (leaky is `leak`)
    Differs from  the papers, which leave W, R and b as they are drawn: their gradients are computed here as for any
                  cell, and are not to be applied
    Errors        NotSupported: a leak or a connectivity outside (0, 1], a negative spectral radius, or an activation
                  that is not known

    >>> import numpy as np
    >>> cell, p = ESN(leak=0.25), {"W": np.zeros((1, 1)), "R": np.zeros((1, 1)), "b": np.zeros(1)}
    >>> y, new, kept = cell.forward(p, np.ones((1, 1)), cell.rule.State(np.ones((1, 1))))
    >>> float(y[0, 0])
    0.75
    """
    R = Reservoir("R", connectivity=connectivity, spectral_radius=spectral_radius)
    return GatedCell(input_map(bias), R, LeakyRule(leak, activation))


GATED_UNITS = UGRNN, CFN, SRU, IntersectionRNN, NAS, MinimalRNN, MGU, LayerNormGRU, ESN
