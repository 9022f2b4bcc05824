// A whole sequence in one launch: R stays in the registers and shared memory of a cluster.
//
// A cluster of BLOCKS blocks runs some rows of the batch, each block UNITS units of them.  A block holds R[:, gates of
// its units].  Ahead, it needs all of h and computes sums for its own gates: h is sent to all blocks of the cluster, once a
// step.  Back, it has the gradients of its own gates and computes a part of that of every h: each part is sent to the
// block that has the unit, which adds the parts in the order of the blocks.  (Sending the gradients of gates instead
// would be `gates` times as much.)  exchange.cuh has how; results are written to global memory between sending and
// waiting.  Blocks send and wait in the last step too, although nothing reads it: no barrier is on a condition, because
// ptxas joins a branch that lanes take apart with an equal condition behind it, so that a barrier between the two is
// reached by a part of a warp.
//
// Types: W of arrays in global memory, S of operands, E of operands in global memory, A of arithmetic.
// A thread has up to PAIRS pairs of a row and a unit, and their state in registers.
#include "rows.cuh"
#include "rule.cuh"
#include "fma.cuh"
#include "mma.cuh"
#include "exchange.cuh"

namespace rnnref {

template <class S> struct InMemory { typedef S type; };
template <> struct InMemory<tf32> { typedef float type; };

struct Sequence {
  const unsigned char* live;                      // [steps, rows], or null: all are
  int steps, rows, n, group, reverse;             // group: rows of a cluster

  __device__ int step(int i, bool back) const { return (reverse != 0) != back ? steps - 1 - i : i; }
  __device__ long long place(int t, int row, int unit, int blocks = 1, int j = 0) const {
    return (((long long)t * rows + row) * blocks + j) * n + unit;
  }
};

// The rows and units of a block, and the place of pair i of a thread
template <int BLOCKS, int UNITS, int THREADS> struct Part {
  int first_row, rows, padded, first_unit, n;

  __device__ __forceinline__ Part(const Sequence& to, int at_a_time) {
    first_row = blockIdx.x / BLOCKS * to.group;
    rows = to.rows - first_row < to.group ? to.rows - first_row : to.group;
    padded = parts(to.group, at_a_time) * at_a_time;
    first_unit = Exchange<BLOCKS>::rank() * UNITS;
    n = to.n;
  }
  __device__ __forceinline__ int pair(int i) const { return threadIdx.x + i * THREADS; }
  __device__ __forceinline__ int row(int i) const { return pair(i) / UNITS; }
  __device__ __forceinline__ int unit(int i) const { return pair(i) % UNITS; }       // within the block
  __device__ __forceinline__ bool here(int i) const { return row(i) < rows && first_unit + unit(i) < n; }
  __device__ __forceinline__ int units() const { return n - first_unit < UNITS ? n - first_unit : UNITS; }
  __device__ __forceinline__ int blocks() const { return parts(n, UNITS); }          // of the cluster that have units
  __device__ __forceinline__ bool takes_part() const { return BLOCKS == 1 || first_unit < n; }
};

// Adjacent numbers that are read at once
template <int N, class W> struct __align__(N * sizeof(W)) Word {
  W x[N];
  template <class A> __device__ __forceinline__ void widen(A* to) const {
#pragma unroll
    for (int i = 0; i < N; i++) to[i] = wide(x[i]);
  }
};

// The gates of a block's units of R [rows, G, n], of which those of one gate are adjacent.  By reference, so that
// compilers read arguments again where they need them and keep nothing that follows from them in registers.
template <class W> struct PartOfR {
  const W* const& R;
  const int &first_unit, &n;

  // True if N adjacent units are always one word of memory
  template <int N> __device__ __forceinline__ bool lies_in_words() const {
    return n % N == 0 && (unsigned long long)R % sizeof(Word<N, W>) == 0;
  }
  template <int N> __device__ __forceinline__ Word<N, W> word(int at) const {
    return *reinterpret_cast<const Word<N, W>*>(R + at);
  }
};

// Ahead a column of the product is one gate of a unit, and its depth is all units
template <class W, int G, int UNITS> struct OfAhead : PartOfR<W> {
  static constexpr bool ALONG_DEPTH = false;
  using PartOfR<W>::first_unit;
  using PartOfR<W>::n;

  template <int N, class A> __device__ __forceinline__ void read(int column, int k, A* x) const {
    const int unit = first_unit + column % UNITS;
    Word<N, W> word = {};
    if (column < G * UNITS && unit < n && k < n)
      word = this->template word<N>((k * G + column / UNITS) * n + unit);
    word.widen(x);
  }
};

// Back, the depth is the gates of the block's units, and the columns are all units
template <class W, int G, int UNITS> struct OfBack : PartOfR<W> {
  static constexpr bool ALONG_DEPTH = true;
  using PartOfR<W>::first_unit;
  using PartOfR<W>::n;

  template <int N, class A> __device__ __forceinline__ void read(int column, int k, A* x) const {
    const int unit = first_unit + k % UNITS;
    Word<N, W> word = {};
    if (column < n && k < G * UNITS && unit < n)
      word = this->template word<N>((column * G + k / UNITS) * n + unit);
    word.widen(x);
  }
};

template <class Rule, class Product, class A, class S, class W, int BLOCKS, int UNITS, int PAIRS> struct Ahead {
  typedef typename InMemory<S>::type E;
  typedef Part<BLOCKS, UNITS, Product::WARPS * 32> Mine;
  static constexpr int G = Rule::gates, COLUMNS = G * UNITS;
  Rule rule;
  const W *ax, *R, *bias, *h0;                    // bias: [G, n] of the product with R, or null
  const A* c0;
  W *y, *hs;                                      // all outputs and states ...
  A* cs;
  E* sent;
  A* kept;
  W* h;                                           // ... and the last state
  A* c;
  Sequence to;

  struct Pair { A x[G], b[G]; State<A> s; typename Rule::Kept k; bool dead; };

  __device__ __forceinline__ void run() const {
    typedef Exchange<BLOCKS> Blocks;
    const Mine at(to, Product::ROWS);
    unsigned char* shared = shared_memory() + Blocks::BYTES;
    A* sums = reinterpret_cast<A*>(shared + Product::REST);                  // [padded, COLUMNS]
    S* v = reinterpret_cast<S*>(sums + at.padded * COLUMNS);                 // [2, padded, STRIDE]: h, this and the next
    const int buffer = at.padded * Product::STRIDE;
    Product product;
    product.load(shared, OfAhead<W, G, UNITS>{{R, at.first_unit, to.n}});
    for (int q = threadIdx.x; q < 2 * buffer; q += Product::WARPS * 32) {
      const int row = q / Product::STRIDE, k = q % Product::STRIDE;
      cast(row < at.rows && k < to.n ? A(wide(h0[to.place(0, at.first_row + row, k)])) : A(0), v[q]);
    }
    Pair pairs[PAIRS];
#pragma unroll
    for (int i = 0; i < PAIRS; i++) begin(at, i, pairs[i]);
    Blocks::begin();                              // no block may send to one that has not begun
    if (!at.takes_part()) return;
    for (int i = 0; i < to.steps; i++) {
      product.multiply(v + i % 2 * buffer, at.padded, [&](int row, int column, A sum) {
        if (column < COLUMNS) sums[row * COLUMNS + column] = sum;
      });
      __syncthreads();
      Blocks::expect(i, at.rows * Blocks::template bytes_of<S>(to.n));
#pragma unroll
      for (int j = 0; j < PAIRS; j++) {
        const bool here = at.here(j);
        if (here) step(at, j, sums + at.row(j) * COLUMNS + at.unit(j), pairs[j]);
        S* next = v + (i + 1) % 2 * buffer + at.row(j) * Product::STRIDE + at.first_unit + at.unit(j);
        S h;
        cast(here ? pairs[j].s.h : A(0), h);
        Blocks::share(i, next, h, here, at.blocks());
      }
      const bool more = i + 1 < to.steps;
#pragma unroll
      for (int j = 0; j < PAIRS; j++) {
        if (!at.here(j)) continue;
        store(at, j, to.step(i, false), more, pairs[j]);
        if (more) fetch(at, j, to.step(i + 1, false), pairs[j]);
      }
      Blocks::wait(i);
    }
  }

  __device__ __forceinline__ void begin(const Mine& at, int i, Pair& p) const {
    if (!at.here(i)) return;
    const int unit = at.first_unit + at.unit(i);
    const long long e = to.place(0, at.first_row + at.row(i), unit);
    p.s = {wide(h0[e]), Rule::has_c ? read(c0, e) : A(0)};
#pragma unroll
    for (int g = 0; g < G; g++) p.b[g] = Rule::sums ? A(0) : A(read(bias, (long long)g * to.n + unit));
    fetch(at, i, to.step(0, false), p);
  }

  __device__ __forceinline__ void fetch(const Mine& at, int i, int t, Pair& p) const {
    const int row = at.first_row + at.row(i);
    p.dead = to.live && !to.live[(long long)t * to.rows + row];
#pragma unroll
    for (int g = 0; g < G; g++) p.x[g] = p.dead ? A(0) : A(wide(ax[to.place(t, row, at.first_unit + at.unit(i), G, g)]));
  }

  __device__ __forceinline__ void step(const Mine& at, int i, const A* sums, Pair& p) const {
    p.k = {};
    if (p.dead) return;
    A r[G];
#pragma unroll
    for (int g = 0; g < G; g++) r[g] = sums[g * UNITS] + p.b[g];
    p.s = rule.forward(at.first_unit + at.unit(i), p.x, r, p.s, p.k);
    p.s.h = rounded<W>(p.s.h);                    // as it is in global memory
  }

  __device__ __forceinline__ void store(const Mine& at, int i, int t, bool more, const Pair& p) const {
    const int row = at.first_row + at.row(i), unit = at.first_unit + at.unit(i);
    const long long e = to.place(t, row, unit);
    write(y, e, p.dead ? A(0) : p.s.h);
    write(hs, e, p.s.h);
    write(sent, e, p.s.h);
    if (Rule::has_c) write(cs, e, p.s.c);
    typename Rule::Kept k = p.k;
#pragma unroll
    for (int j = 0; j < Rule::stored; j++) write(kept, to.place(t, row, unit, Rule::stored, j), number<A>(k, j));
    if (more) return;
    write(h, to.place(0, row, unit), p.s.h);
    if (Rule::has_c) write(c, to.place(0, row, unit), p.s.c);
  }
};

template <class Rule, class Product, class A, class S, class W, int BLOCKS, int UNITS, int PAIRS> struct Back {
  typedef typename InMemory<S>::type E;
  typedef Part<BLOCKS, UNITS, Product::WARPS * 32> Mine;
  static constexpr int G = Rule::gates;
  Rule rule;
  const W* R;
  const A *kept, *c0, *c;                         // c: after each step, or null; c0 and hs: before it
  const W *hs, *dy, *dh;                          // dh, dc: of the last state
  const A* dc;
  E *dax, *dah;                                   // dah is null for a rule of the sum: it is dax
  W* dh0;
  A *dc0, *dp;                                    // dp: [rows, weights, n], summed over the steps
  Sequence to;

  struct Pair { typename Rule::Kept k; A dy, x[G], r[G], dp[Rule::weights + 1]; State<A> d; bool dead; };

  __device__ __forceinline__ void run() const {
    typedef Exchange<BLOCKS> Blocks;
    const Mine at(to, Product::ROWS);
    unsigned char* shared = shared_memory() + Blocks::BYTES;
    A* given = reinterpret_cast<A*>(shared + Product::REST);                 // [2, BLOCKS, padded, UNITS]: parts of dh
    S* v = reinterpret_cast<S*>(given + 2 * BLOCKS * at.padded * UNITS);     // [padded, STRIDE]: gradients of gates
    const int buffer = BLOCKS * at.padded * UNITS, own = Blocks::rank() * at.padded * UNITS;
    Product product;
    product.load(shared, OfBack<W, G, UNITS>{{R, at.first_unit, to.n}});
    for (int q = threadIdx.x; q < at.padded * Product::STRIDE; q += Product::WARPS * 32) cast(A(0), v[q]);
    Pair pairs[PAIRS];
#pragma unroll
    for (int i = 0; i < PAIRS; i++) begin(at, i, pairs[i]);
    Blocks::begin();                              // no block may send to one that has not begun
    if (!at.takes_part()) return;
    for (int i = 0; i < to.steps; i++) {
#pragma unroll
      for (int j = 0; j < PAIRS; j++) {
        if (!at.here(j)) continue;
        if (i) collect(at, given + i % 2 * buffer + at.pair(j), pairs[j].d.h);
        step(at, j, v + at.row(j) * Product::STRIDE + at.unit(j), pairs[j]);
      }
      __syncthreads();
      A* next = given + (i + 1) % 2 * buffer + own;
      Blocks::expect(i, at.blocks() * at.rows * at.units() * (int)sizeof(A));
      product.multiply(v, at.padded, [&](int row, int column, A part) {
        if (row < at.rows && column < to.n) Blocks::send(i, next + row * UNITS + column % UNITS, column / UNITS, part);
      });
#pragma unroll
      for (int j = 0; j < PAIRS; j++) {
        if (!at.here(j)) continue;
        store(at, j, to.step(i, true), pairs[j]);
        if (i + 1 < to.steps) fetch(at, j, to.step(i + 1, true), pairs[j]);
      }
      Blocks::meet(i);                            // the gradients of gates have been read, too
    }
#pragma unroll
    for (int j = 0; j < PAIRS; j++) {
      if (!at.here(j)) continue;
      collect(at, given + to.steps % 2 * buffer + at.pair(j), pairs[j].d.h);
      finish(at, j, pairs[j]);
    }
  }

  static __device__ __forceinline__ void collect(const Mine& at, const A* given, A& sum) {
#pragma unroll
    for (int b = 0; b < BLOCKS; b++)
      if (b < at.blocks()) sum += given[b * at.padded * UNITS];
  }

  __device__ __forceinline__ void begin(const Mine& at, int i, Pair& p) const {
    if (!at.here(i)) return;
    const long long e = to.place(0, at.first_row + at.row(i), at.first_unit + at.unit(i));
    p.d = {read(dh, e), Rule::has_c ? read(dc, e) : A(0)};
#pragma unroll
    for (int j = 0; j <= Rule::weights; j++) p.dp[j] = 0;
    fetch(at, i, to.step(0, true), p);
  }

  __device__ __forceinline__ void fetch(const Mine& at, int i, int t, Pair& p) const {
    const int row = at.first_row + at.row(i), unit = at.first_unit + at.unit(i);
    const long long e = to.place(t, row, unit);
    p.dead = to.live && !to.live[(long long)t * to.rows + row];
    p.k = {};
    p.dy = 0;
    if (p.dead) return;
#pragma unroll
    for (int j = 0; j < Rule::stored; j++) number<A>(p.k, j) = read(kept, to.place(t, row, unit, Rule::stored, j));
    rule.recall(p.k, {Rule::sees_h ? A(read(hs, e)) : A(0), Rule::has_c ? A(read(c0, e)) : A(0)},
                {0, Rule::has_c ? A(read(c, e)) : A(0)});
    p.dy = read(dy, e);
  }

  __device__ __forceinline__ void step(const Mine& at, int i, S* v, Pair& p) const {
#pragma unroll
    for (int g = 0; g < G; g++) p.x[g] = p.r[g] = 0;
    if (!p.dead) {
      A more[Rule::weights + 1] = {};
      p.d = rule.backward(at.first_unit + at.unit(i), p.k, p.dy, p.d, p.x, p.r, more);
#pragma unroll
      for (int j = 0; j < Rule::weights; j++) p.dp[j] += more[j];
    }
#pragma unroll
    for (int g = 0; g < G; g++) cast(Rule::sums ? p.x[g] : p.r[g], v[g * UNITS]);
  }

  __device__ __forceinline__ void store(const Mine& at, int i, int t, const Pair& p) const {
    const int row = at.first_row + at.row(i), unit = at.first_unit + at.unit(i);
#pragma unroll
    for (int g = 0; g < G; g++) {
      write(dax, to.place(t, row, unit, G, g), p.x[g]);
      if (!Rule::sums) write(dah, to.place(t, row, unit, G, g), p.r[g]);
    }
  }

  __device__ __forceinline__ void finish(const Mine& at, int i, const Pair& p) const {
    const int row = at.first_row + at.row(i), unit = at.first_unit + at.unit(i);
    const long long e = to.place(0, row, unit);
    write(dh0, e, p.d.h);
    if (Rule::has_c) write(dc0, e, p.d.c);
#pragma unroll
    for (int j = 0; j < Rule::weights; j++) write(dp, to.place(0, row, unit, Rule::weights, j), p.dp[j]);
  }
};

// The arguments of two directions; blockIdx.y is the index
template <class One> struct Both {
  One each[2];
};

}  // namespace rnnref
