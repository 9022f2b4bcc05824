"""Faults planted in the core, each a function of pytest's monkeypatch: which law says so, and in which words."""
import sys
import types
from dataclasses import dataclass

import numpy as np

from rnnref import elementwise, padding
from rnnref.cell import ALL, GatedCell
from rnnref.cells import GRU, LSTM, Dropout, Masks, SimpleRNN, Stack, gru_before
from rnnref.loops import hoisted, layerwise, plan, scan
from rnnref.maps.dense import Dense
from rnnref.maps.normed import WeightNorm
from rnnref.rules import elman, lstm
from rnnref.tree import PerStep, apply_mask, expand_mask, map_structure, select_step
from rnnref.wrappers import dropout


def flat_sigmoid(patch):
    patch.setattr(elementwise, "dsigmoid", lambda y, dy: dy * y)


def no_gradient_of_bias(patch):
    patch.setattr(Dense, "backward_p", zero_of("b", Dense.backward_p))


def no_gradient_of_bias_in_a_path(patch):
    plain = hoisted.backward

    def backward(*args):
        dxs, ds, dextra, dp = plain(*args)
        return dxs, ds, dextra, dp | {"b": 0 * dp["b"]}
    patch.setattr(hoisted, "backward", backward)


def zero_of(name, plain):
    def backward_p(*args):
        return {n: 0 * a if n == name else a for n, a in plain(*args).items()}
    return backward_p


def recurrent_product_untransposed(patch):
    plain = Dense.backward_x
    patch.setattr(Dense, "backward_x", lambda self, p, x, da: da @ p["R"] if self.W == "R" else plain(self, p, x, da))


def peephole_of_the_old_c(patch):                 # the output gate sees the new one
    plain = lstm.LSTMRule.backward

    def backward(self, p, k, dy, d):
        dax, dah, ds, dp = plain(self, p, k, dy, d)
        return dax, dah, ds, dp | {"Wpo": dp["Wpo"] * 0 + dax[..., -4:] * k.c0}
    patch.setattr(lstm.LSTMRule, "backward", backward)


def clip_let_through(patch):
    patch.setattr(lstm, "dclip", lambda x, limit, dy: dy)


def projection_clip_let_through(patch):
    patch.setattr(sys.modules["rnnref.cell"], "dclip", lambda x, limit, dy: dy)


def weight_norm_without_its_second_term(patch):
    plain = WeightNorm.prepare_backward

    def prepare_backward(self, p, kept, dq):
        u, norm, _ = kept
        return plain(self, p, kept, dq) | {self.V: dq[self.W] * p[self.gain] / norm}
    patch.setattr(WeightNorm, "prepare_backward", prepare_backward)


def mask_of_h_forgotten(patch):
    plain = dropout.Dropout.backward

    def backward(self, p, k, dy, dnew):
        dx, _, *rest = plain(self, p, k, dy, dnew)
        ds = self.cell.backward(p, k.cell, dropout.multiply_mask(dy, k.masks.y), dnew)[1]
        return dx, ds, *rest
    patch.setattr(dropout.Dropout, "backward", backward)


def reset_twice(patch):
    plain = gru_before.GRUBefore.step_backward_p

    def step_backward_p(self, p, deferred):
        kg, dg, kn, dn = deferred
        return plain(self, p, (kg, dg, kg, dn))   # h where r h belongs
    patch.setattr(gru_before.GRUBefore, "step_backward_p", step_backward_p)


def multiplied(live, tree):
    return tree if live is None else map_structure(lambda a: a * expand_mask(live, a), tree)


def masks_by_multiplication(patch):
    patch.setattr(scan, "apply_mask", multiplied)


def masks_by_multiplication_in_a_path(patch):
    patch.setattr(hoisted, "apply_mask", multiplied)


def inputs_of_the_padding_are_read(patch):        # and reach the weights through kept intermediates
    patch.setattr(hoisted, "apply_mask", lambda live, a: (
        a if getattr(a, "shape", ())[-1:] == (3,) else apply_mask(live, a)))


def states_go_on_in_the_padding(patch):
    patch.setattr(scan, "choose", lambda live, new, old: new)


def outputs_of_the_padding_are_said(patch):
    patch.setattr(scan, "apply_mask", lambda live, tree: tree)


def an_off_by_one_of_lengths(patch):
    plain = padding.make_live_mask
    patch.setattr(sys.modules["rnnref.loops.run"], "make_live_mask", lambda xs, lengths, *rest: plain(
        xs, lengths if lengths is None else np.minimum(lengths + 1, len(xs)), *rest))


def the_first_row_is_taken_for_the_longest(patch):
    plain = padding.make_live_mask
    patch.setattr(sys.modules["rnnref.loops.run"], "make_live_mask", lambda xs, lengths, *rest: plain(
        xs, lengths if lengths is None else np.minimum(lengths, lengths[:1]), *rest))


def reverse_is_not(patch):
    patch.setattr(scan, "list_steps", lambda xs, reverse: range(len(xs)))


def reverse_in_pairs(patch):                      # a wrong order that is an order all the same
    def steps(xs, reverse):
        order = list(range(len(xs)))
        return [*order[1:], order[0]] if reverse else order
    patch.setattr(scan, "list_steps", steps)


def the_first_step_counts_twice(patch):
    ahead, back = scan.forward, scan.backward

    def forward(cell, p, xs, s, extra=None, live=None, reverse=False, keep=True):
        return ahead(cell, p, map_structure(lambda a: doubled(a, reverse), xs), s, extra, live, reverse, keep)

    def backward(tape, dys, ds, wanted=ALL):
        dxs, *rest = back(tape, dys, ds, wanted)
        return map_structure(lambda a: doubled(a, tape.order[0] != 0), dxs), *rest
    patch.setattr(scan, "forward", forward)
    patch.setattr(scan, "backward", backward)


def doubled(a, reverse):
    a = a.copy()
    a[-1 if reverse else 0] *= 2
    return a


def extra_of_another_step(patch):
    patch.setattr(scan, "select_extra", lambda extra, t, now: map_structure(
        lambda e: apply_mask(now, e.steps[0]) if isinstance(e, PerStep) else e, extra))


def one_bit(patch):
    nudge = 1 + np.finfo("float64").eps
    patch.setattr(scan, "apply_mask", lambda live, tree: map_structure(lambda a: a * nudge, apply_mask(live, tree)))


def a_path_in_float32(patch):
    plain = Dense.forward
    inside = [False]

    def forward(cell, p, xs, *rest):
        inside[0] = True
        try:
            return ahead(cell, p, xs, *rest)
        finally:
            inside[0] = False
    ahead = hoisted.forward
    patch.setattr(hoisted, "forward", forward)
    patch.setattr(Dense, "forward", lambda self, p, x: (
        (plain(self, p, x)[0].astype("float32").astype(x.dtype), x) if inside[0] else plain(self, p, x)))


def kept_of_another_step(patch):
    patch.setattr(hoisted.Tape, "kept", lambda self, t: hoisted.Kept(select_step(self.kx, t), self.keeps[t - 1]))


def recompute_without_the_mask(patch):
    patch.setattr(scan.Tape, "forward", lambda self, t: self.cell.forward(
        self.p, select_step(self.xs, t), self.states[t] if t else map_structure(np.zeros_like, self.states[t])))


def inference_forgets_the_last_step(patch):
    plain = hoisted.forward

    def forward(cell, p, xs, s, extra=None, live=None, reverse=False, keep=True):
        ys, new, tape = plain(cell, p, xs, s, extra, live, reverse, keep)
        return ys, new if keep else s, tape
    patch.setattr(hoisted, "forward", forward)


def a_kernel_that_is_wrong(patch):
    @dataclass(frozen=True)
    class Fast(elman.ElmanRule):
        @staticmethod
        def refuses(rule):
            return None

        def forward(self, p, ax, ah, s):
            return super().forward(p, ax, ah * (1 + 1e-9), s)
    patch.setitem(sys.modules, "rnnref.damaged", types.SimpleNamespace(Fast=Fast))
    patch.setitem(plan.KERNELS, ("numpy", "ElmanRule"), "damaged:Fast")
    plan.clear_cache()             # plans made without it


# Damage that only a GPU, or its strict double, would see.
def numpy_by_name(patch):
    patch.setattr(scan, "apply_mask", lambda live, tree: map_structure(
        lambda a: np.where(expand_mask(live, a), a, 0), tree))


def zeros_of_the_host(patch):
    patch.setattr(scan, "apply_mask", lambda live, tree: map_structure(lambda a: a + np.zeros(a.shape), tree))


def a_value_is_asked_for(patch):
    patch.setattr(scan, "apply_mask", lambda live, tree: tree if bool(live.all()) else apply_mask(live, tree))


def layers_go_the_other_way(patch):
    plain = layerwise.forward
    patch.setattr(layerwise, "forward", lambda *args: plain(*args[:6], not args[6], *args[7:]))


def gradients_pass_a_layer_by(patch):
    plain = hoisted.backward

    def backward(tape, dys, ds, wanted=ALL):
        return dys.copy(), *plain(tape, dys, ds, wanted)[1:]
    patch.setattr(layerwise, "load_path", lambda name: types.SimpleNamespace(
        refuses=hoisted.refuses, forward=hoisted.forward, backward=backward))


def dead_rows_of_layers_as_they_ran(patch):
    patch.setattr(layerwise.Tape, "kept", lambda self, t: tuple(tape.kept(t) for tape in self.tapes))


MASKS = Masks(PerStep(np.arange(60).reshape(5, 4, 3) % 7 / 3.0), h=np.arange(16).reshape(4, 4) % 3 / 2.0)
weight_normed = GatedCell(WeightNorm("W", "b", "V", "gain"), Dense("R"), lstm.LSTMRule())
CORE = (
    (flat_sigmoid, LSTM(), 2, "dxs: along"),
    (flat_sigmoid, GRU(reset="before"), 2, "dxs: along"),
    (no_gradient_of_bias, LSTM(), 2, "dp.b: along a random direction the gradient gives 0"),
    (recurrent_product_untransposed, SimpleRNN(), 2, "dxs: along"),
    (peephole_of_the_old_c, LSTM(peepholes=True), 2, "dp.Wpo: along"),
    (clip_let_through, LSTM(cell_clip=0.2), 2, "dxs: along"),
    (projection_clip_let_through, LSTM(projection=2, projection_clip=0.05), 2, "dxs: along"),
    (weight_norm_without_its_second_term, weight_normed, 2, "dp.V: along"),
    (mask_of_h_forgotten, Dropout(LSTM()), 2, "dxs: along"),
    (reset_twice, GRU(reset="before"), 2, "dp.R: along"),
    (states_go_on_in_the_padding, SimpleRNN(), 2, "also   law 4 (a padded batch equals each sequence alone)"),
    (outputs_of_the_padding_are_said, LSTM(), 2, "also   law 4 (a padded batch equals each sequence alone)"),
    (an_off_by_one_of_lengths, LSTM(), 4, ""),
    (masks_by_multiplication, LSTM(), 5, "plain, NaN in the padding"),
    (masks_by_multiplication_in_a_path, LSTM(), 5, "hoisted, NaN in the padding"),
    (inputs_of_the_padding_are_read, LSTM(), 5, "hoisted, NaN in the padding"),
    (reverse_is_not, LSTM(), 6, "flipped: "),
    (reverse_in_pairs, SimpleRNN(), 6, "flipped: "),
    (extra_of_another_step, Dropout(LSTM()), 6, "flipped: "),
    (the_first_step_counts_twice, SimpleRNN(), 7, "cut after 3 of 5 steps: "),
    (the_first_row_is_taken_for_the_longest, GRU(), 8, "rows in another order: "),
    (no_gradient_of_bias_in_a_path, GRU(), 9, "hoisted: dp.b["),
    (one_bit, SimpleRNN(), 9, "a loop by hand: y of step 0"),
    (a_path_in_float32, LSTM(), 9, "hoisted: "),
    (kept_of_another_step, GRU(reset="before"), 9, "hoisted: kept("),
    (recompute_without_the_mask, SimpleRNN(), 9, "recompute: results"),
    (inference_forgets_the_last_step, LSTM(), 9, "hoisted, keep=False: results"),
    (a_kernel_that_is_wrong, Stack((SimpleRNN(), LSTM())), 9, "CUDA kernel, 1 hoisted: "),
    (layers_go_the_other_way, Stack((SimpleRNN(), LSTM())), 9, "layerwise, 0 sequence, 1 sequence: "),
    (gradients_pass_a_layer_by, Stack((LSTM(), GRU())), 9, "layerwise, 0 sequence, 1 sequence: d"),
    (dead_rows_of_layers_as_they_ran, Stack((SimpleRNN(), GRU())), 9, "0 sequence, 1 sequence: kept("),
)
