// The simple RNN, as in rnnref/rules/elman.py.
#pragma once
#include "rule.cuh"

namespace rnnref {

// h' = tanh(ax + ah)
template <class A> struct Elman {
  int none;                                       // the size of an empty struct differs between compilers

  static constexpr int gates = 1, stored = 1, weights = 0;
  static constexpr bool sums = true, sees_h = false, has_c = false;
  struct Kept { A h; };

  RNNREF State<A> forward(int, const A* ax, const A* ah, State<A>, Kept& k) const {
    const A h = tanh(ax[0] + ah[0]);
    k = {h};
    return {h, 0};
  }

  RNNREF void recall(Kept&, State<A>, State<A>) const {}

  RNNREF State<A> backward(int, const Kept& k, A dy, State<A> d, A* dax, A*, A*) const {
    dax[0] = dtanh(k.h, dy + d.h);
    return {0, 0};                                // the old h acts through the recurrent map alone
  }
};

}  // namespace rnnref
