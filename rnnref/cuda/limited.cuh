// A clipped sum, as in rnnref/rules/limited.py.
#pragma once
#include "rule.cuh"

namespace rnnref {

// h' = clip(ax + ah)
template <class A> struct Limited {
  A limit;                                        // below 0: none

  static constexpr int gates = 1, stored = 1, weights = 0;
  static constexpr bool sums = true, sees_h = false, has_c = false;
  struct Kept { A h; };

  RNNREF State<A> forward(int, const A* ax, const A* ah, State<A>, Kept& k) const {
    A h = ax[0] + ah[0];
    if (limit >= 0) h = clip(h, limit);
    k = {h};
    return {h, 0};
  }

  RNNREF void recall(Kept&, State<A>, State<A>) const {}

  RNNREF State<A> backward(int, const Kept& k, A dy, State<A> d, A* dax, A*, A*) const {
    const A dh = dy + d.h;
    dax[0] = limit >= 0 ? dclip(k.h, limit, dh) : dh;
    return {0, 0};
  }
};

}  // namespace rnnref
