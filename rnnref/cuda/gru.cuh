// GRU with the reset after the product, and the pointwise parts of the one with the reset before it.
// As in rnnref/rules/gru.py and rnnref/cells/gru_before.py.
#pragma once
#include "rule.cuh"

namespace rnnref {

// r, z = sigmoid(ax + ah);  n = tanh(ax_n + r ah_n);  h' = (1 - z) n + z h
template <class A> struct GRU {
  int none;

  static constexpr int gates = 3, stored = 4, weights = 0;
  static constexpr bool sums = false, sees_h = true, has_c = false;
  static constexpr int R = 0, Z = 1, N = 2;
  struct Kept { A r, z, n, hn, h0; };

  RNNREF State<A> forward(int, const A* ax, const A* ah, State<A> s, Kept& k) const {
    const A r = sigmoid(ax[R] + ah[R]);
    const A z = sigmoid(ax[Z] + ah[Z]);
    const A n = tanh(ax[N] + r * ah[N]);
    k = {r, z, n, ah[N], s.h};
    return {(1 - z) * n + z * s.h, 0};
  }

  RNNREF void recall(Kept& k, State<A> before, State<A>) const { k.h0 = before.h; }

  RNNREF State<A> backward(int, const Kept& k, A dy, State<A> d, A* dax, A* dah, A*) const {
    const A dh = dy + d.h;
    dax[Z] = dah[Z] = dsigmoid(k.z, dh * (k.h0 - k.n));
    dax[N] = dtanh(k.n, dh * (1 - k.z));
    dax[R] = dah[R] = dsigmoid(k.r, dax[N] * k.hn);
    dah[N] = dax[N] * k.r;
    return {dh * k.z, 0};
  }
};

// r, z = sigmoid(ax + h R);  n = tanh(ax_n + (r h) Rn);  h' = (1 - z) n + z h: a product stands between the two parts
template <class A> struct GRUBefore {
  static constexpr int gates = 3, stored = 3;
  static constexpr int R = 0, Z = 1, N = 2;
  struct Kept { A r, z, n, h0; };

  static RNNREF A reset(A xr, A xz, A hr, A hz, Kept& k) {                   // -> r h
    k.r = sigmoid(xr + hr);
    k.z = sigmoid(xz + hz);
    return k.r * k.h0;
  }

  static RNNREF A renew(A xn, A an, Kept& k) {                               // -> h'
    k.n = tanh(xn + an);
    return (1 - k.z) * k.n + k.z * k.h0;
  }

  static RNNREF void renew_back(const Kept& k, A dh, A& dz, A& dn) {
    dz = dsigmoid(k.z, dh * (k.h0 - k.n));
    dn = dtanh(k.n, dh * (1 - k.z));
  }

  static RNNREF A reset_back(const Kept& k, A dh, A drh, A& dr) {            // -> dh0 without the part through R
    dr = dsigmoid(k.r, drh * k.h0);
    return dh * k.z + drh * k.r;
  }
};

}  // namespace rnnref
