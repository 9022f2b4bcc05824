// LSTM with peepholes, coupled gates and a clipped cell, as in rnnref/rules/lstm.py.
#pragma once
#include "rule.cuh"

namespace rnnref {

enum Coupled { NONE, INPUT, FORGET };             // coupled=None; "input": i = 1 - f; "forget": f = 1 - i

// i, f, o = sigmoid(a_i, a_f + forget_bias, a_o);  g = tanh(a_g);  c' = f c + i g;  h' = o tanh(c')
template <class A, Coupled coupled> struct LSTM {
  A forget_bias, cell_clip;                       // cell_clip: below 0: none
  int through;                                    // cell_clip_gradient == "through"
  const A *Wpi, *Wpf, *Wpo;                       // [n], or null without peepholes

  static constexpr int gates = coupled == NONE ? 4 : 3, stored = 5, weights = gates - 1;
  static constexpr bool sums = true, sees_h = false, has_c = true;
  static constexpr int I = 0, F = coupled == INPUT ? 0 : 1, G = gates - 2, O = gates - 1;     // blocks i f g o
  struct Kept { A i, f, g, o, tc, c0, c; };

  RNNREF State<A> forward(int u, const A* ax, const A* ah, State<A> s, Kept& k) const {
    A i = 0, f = 0;
    if (coupled != INPUT) i = sigmoid(ax[I] + ah[I] + peep(Wpi, u, s.c));
    if (coupled != FORGET) f = sigmoid(ax[F] + ah[F] + peep(Wpf, u, s.c) + forget_bias);
    if (coupled == INPUT) i = 1 - f;
    if (coupled == FORGET) f = 1 - i;
    const A g = tanh(ax[G] + ah[G]);
    A c = f * s.c + i * g;
    if (cell_clip >= 0) c = clip(c, cell_clip);
    const A o = sigmoid(ax[O] + ah[O] + peep(Wpo, u, c));
    const A tc = tanh(c);
    k = {i, f, g, o, tc, s.c, c};
    return {o * tc, c};
  }

  RNNREF void recall(Kept& k, State<A> before, State<A> after) const {
    k.c0 = before.c;
    k.c = after.c;                                // 0 where it is not read: no peepholes, no clip
  }

  RNNREF State<A> backward(int u, const Kept& k, A dy, State<A> d, A* dax, A*, A* dp) const {
    const A dh = dy + d.h;                        // h has two uses: output and state
    dax[O] = dsigmoid(k.o, dh * k.tc);
    A dc = d.c + dtanh(k.tc, dh * k.o) + peep(Wpo, u, dax[O]);
    if (cell_clip >= 0 && !through) dc = dclip(k.c, cell_clip, dc);
    A di = dc * k.g, df = dc * k.c0;              // of the gates' values ...
    if (coupled == INPUT) df = df - di;
    if (coupled == FORGET) di = di - df;
    dax[G] = dtanh(k.g, dc * k.i);
    A seen = 0;                                   // gradient through the peepholes of i and f
    if (coupled != INPUT) {
      dax[I] = dsigmoid(k.i, di);                 // ... and of their arguments
      seen += peep(Wpi, u, dax[I]);
      dp[I] = dax[I] * k.c0;
    }
    if (coupled != FORGET) {
      dax[F] = dsigmoid(k.f, df);
      seen += peep(Wpf, u, dax[F]);
      dp[F] = dax[F] * k.c0;
    }
    dp[weights - 1] = dax[O] * k.c;
    return {0, dc * k.f + seen};
  }

  static RNNREF A peep(const A* w, int u, A c) { return w ? w[u] * c : A(0); }   // linear, so its own backward
};

}  // namespace rnnref
