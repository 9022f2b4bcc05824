// The pointwise parts of a GRU with the reset before the product, two forward and two backward.
// Arrays with three blocks have them in the order r z n.  Types and dead rows are those of pointwise.cu.
#include "rows.cuh"
#include "gru.cuh"

namespace rnnref {

// r, z and the operand of the second product, r h
template <class A, class S, class W> struct Reset {
  typedef GRUBefore<A> Rule;
  const W *ax, *ag, *h0;                          // ag: the product h R, [rows, 2, n]
  A* kept;
  S* rh;
  Rows to;

  __device__ __forceinline__ void step(int row, int u) const {
    typename Rule::Kept k = {};
    A out = 0;
    if (!to.dead(row)) {
      k.h0 = read(h0, to.place(row, u));
      out = Rule::reset(read(ax, to.place(row, u, 3, Rule::R)), read(ax, to.place(row, u, 3, Rule::Z)),
                        read(ag, to.place(row, u, 2, Rule::R)), read(ag, to.place(row, u, 2, Rule::Z)), k);
    }
    write(kept, to.place(row, u, 3, Rule::R), k.r);
    write(kept, to.place(row, u, 3, Rule::Z), k.z);
    write(rh, to.place(row, u), out);
  }
};

// n and the new state
template <class A, class S, class W> struct Renew {
  typedef GRUBefore<A> Rule;
  const W *ax, *an, *h0;                          // an: the product (r h) Rn
  A* kept;
  W *y, *h;
  S* sent;
  Rows to;

  __device__ __forceinline__ void step(int row, int u) const {
    const long long e = to.place(row, u);
    const bool dead = to.dead(row);
    typename Rule::Kept k = {};
    k.h0 = read(h0, e);
    A out = k.h0;
    if (!dead) {
      k.z = read(kept, to.place(row, u, 3, Rule::Z));
      out = Rule::renew(read(ax, to.place(row, u, 3, Rule::N)), read(an, e), k);
    }
    write(kept, to.place(row, u, 3, Rule::N), k.n);
    write(h, e, out);
    write(sent, e, out);
    write(y, e, dead ? A(0) : out);
  }
};

// dz and dn
template <class A, class S, class W> struct RenewBack {
  typedef GRUBefore<A> Rule;
  const A* kept;
  const W *h0, *dy, *dh;
  S* dax;
  Rows to;

  __device__ __forceinline__ void step(int row, int u) const {
    const long long e = to.place(row, u);
    A z = 0, n = 0;
    if (!to.dead(row)) {
      typename Rule::Kept k = {};
      k.z = read(kept, to.place(row, u, 3, Rule::Z));
      k.n = read(kept, to.place(row, u, 3, Rule::N));
      k.h0 = read(h0, e);
      Rule::renew_back(k, read(dy, e) + read(dh, e), z, n);
    }
    write(dax, to.place(row, u, 3, Rule::Z), z);
    write(dax, to.place(row, u, 3, Rule::N), n);
  }
};

// dr, and the gradient of the old state without the part through R
template <class A, class S, class W> struct ResetBack {
  typedef GRUBefore<A> Rule;
  const A* kept;
  const W *h0, *dy, *dh, *drh;                    // drh: dn Rn'
  S* dax;
  W* dh0;
  Rows to;

  __device__ __forceinline__ void step(int row, int u) const {
    const long long e = to.place(row, u);
    A r = 0, out = read(dh, e);
    if (!to.dead(row)) {
      typename Rule::Kept k = {};
      k.r = read(kept, to.place(row, u, 3, Rule::R));
      k.z = read(kept, to.place(row, u, 3, Rule::Z));
      k.h0 = read(h0, e);
      out = Rule::reset_back(k, read(dy, e) + out, read(drh, e), r);
    }
    write(dax, to.place(row, u, 3, Rule::R), r);
    write(dh0, e, out);
  }
};

}  // namespace rnnref
