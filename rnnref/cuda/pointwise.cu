// One step of any rule, forward and backward: indexing only, the equations are in the rule.
//
// A dead row copies its state and outputs zero; backward its gates get zero and the gradient of its state passes.
// Types: W of results of products and of states, S of operands of the next product, A of arithmetic.
#include "rows.cuh"
#include "rule.cuh"

namespace rnnref {

template <class Rule, class A, class S, class W> struct Forward {
  Rule rule;
  const W *ax, *ah, *h0;
  const A* c0;
  W *y, *h;
  A* c;
  S* sent;                                        // h once more
  A* kept;                                        // [rows, stored, n]
  Rows to;

  __device__ __forceinline__ void step(int row, int u) const {
    const long long e = to.place(row, u);
    const bool dead = to.dead(row);
    typename Rule::Kept k = {};
    State<A> s = {0, 0};
    if (Rule::sees_h || dead) s.h = read(h0, e);
    if (Rule::has_c) s.c = read(c0, e);
    if (!dead) {
      A x[Rule::gates], r[Rule::gates];
#pragma unroll
      for (int g = 0; g < Rule::gates; g++) {
        x[g] = read(ax, to.place(row, u, Rule::gates, g));
        r[g] = read(ah, to.place(row, u, Rule::gates, g));
      }
      s = rule.forward(u, x, r, s, k);
    }
    write(h, e, s.h);
    write(sent, e, s.h);
    write(y, e, dead ? A(0) : s.h);
    if (Rule::has_c) write(c, e, s.c);
#pragma unroll
    for (int j = 0; j < Rule::stored; j++) write(kept, to.place(row, u, Rule::stored, j), number<A>(k, j));
  }
};

template <class Rule, class A, class S, class W> struct Backward {
  Rule rule;
  const A *kept, *c0, *c;
  const W *h0, *dy, *dh;
  const A* dc;
  S *dax, *dah;                                   // dah is null for a rule of the sum: it is dax
  W* dh0;
  A *dc0, *dp;                                    // dp: [rows, weights, n]
  Rows to;

  __device__ __forceinline__ void step(int row, int u) const {
    const long long e = to.place(row, u);
    State<A> d = {read(dh, e), read(dc, e)};
    A x[Rule::gates] = {}, r[Rule::gates] = {}, p[Rule::weights + 1] = {};
    if (!to.dead(row)) {
      typename Rule::Kept k = {};
#pragma unroll
      for (int j = 0; j < Rule::stored; j++) number<A>(k, j) = read(kept, to.place(row, u, Rule::stored, j));
      rule.recall(k, {read(h0, e), read(c0, e)}, {0, read(c, e)});
      d = rule.backward(u, k, read(dy, e), d, x, r, p);
    }
#pragma unroll
    for (int g = 0; g < Rule::gates; g++) {
      write(dax, to.place(row, u, Rule::gates, g), x[g]);
      if (!Rule::sums) write(dah, to.place(row, u, Rule::gates, g), r[g]);
    }
    write(dh0, e, d.h);
    if (Rule::has_c) write(dc0, e, d.c);
#pragma unroll
    for (int j = 0; j < Rule::weights; j++) write(dp, to.place(row, u, Rule::weights, j), p[j]);
  }
};

}  // namespace rnnref
