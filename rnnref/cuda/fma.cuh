// A part of a matrix held by the threads of a block, and its products with vectors, by multiply-add.
#pragma once
#include "cluster.cuh"

namespace rnnref {

// out[column] = sum over k of M[column, k] v[k], for k < DEPTH.
//
// A warp has COLUMNS / WARPS columns.  SPLIT of its lanes share the sum over k: each has every SPLIT-th run of RUN
// numbers, for C columns of its own; HELD numbers of a column are in registers, the rest in shared memory.  ROWS
// vectors at a time.  The order of the sum is the same for every vector, whatever the others are.
template <class A, class S, int COLUMNS, int DEPTH, int WARPS_, int SPLIT, int HELD, int ROWS_> struct Fma {
  static constexpr int WARPS = WARPS_, ROWS = ROWS_, ACROSS = 32 / SPLIT;
  static constexpr int C = parts(COLUMNS, WARPS * ACROSS), K = parts(DEPTH, SPLIT), MORE = K - HELD;
  static constexpr int RUN = wordful<A>(K), FULL = parts(HELD, RUN) * RUN;   // numbers of v that are read at once
  static constexpr int STRIDE = K * SPLIT;        // from one vector to the next
  static constexpr int REST = WARPS * C * MORE * 32 * (int)sizeof(A);                   // bytes of shared memory
  static constexpr int P = C <= 1 ? 1 : C <= 2 ? 2 : C <= 4 ? 4 : C <= 8 ? 8 : C <= 16 ? 16 : 32;
  static_assert(MORE >= 0 && C <= 32, "a tiling that does not fit");
  struct __align__(RUN * sizeof(S)) Run { S x[RUN]; };

  A held[C][HELD > 0 ? HELD : 1];
  A* rest;
  int part, first;                                // its share of the sum; its first column

  template <class Matrix> __device__ __forceinline__ void load(unsigned char* shared, const Matrix& matrix) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    part = lane % SPLIT;
    first = (warp * ACROSS + lane / SPLIT) * C;
    rest = reinterpret_cast<A*>(shared) + warp * C * MORE * 32 + lane;
    constexpr int WIDE = wordful<A>(Matrix::ALONG_DEPTH ? RUN : C);
    if (matrix.template lies_in_words<WIDE>()) take<WIDE>(matrix);
    else take<1>(matrix);
  }

  template <int WIDE, class Matrix> __device__ __forceinline__ void take(const Matrix& matrix) {
#pragma unroll
    for (int j = 0; j < FULL; j += RUN) take<WIDE>(matrix, j);
    for (int j = FULL; j < K; j += RUN) take<WIDE>(matrix, j);
  }

  // Numbers j to j + RUN of all columns
  template <int WIDE, class Matrix> __device__ __forceinline__ void take(const Matrix& matrix, int j) {
    constexpr int DOWN = Matrix::ALONG_DEPTH ? 1 : WIDE, ON = Matrix::ALONG_DEPTH ? WIDE : 1;
#pragma unroll
    for (int i = 0; i < RUN; i += ON) {
#pragma unroll
      for (int c = 0; c < C; c += DOWN) {
        A x[WIDE];
        matrix.template read<WIDE>(first + c, (j / RUN * SPLIT + part) * RUN + i, x);
#pragma unroll
        for (int q = 0; q < WIDE; q++) put(c + q % DOWN, j + i + q % ON, rounded<S>(x[q]));
      }
      if ((i + ON) * C % 16 == 0 || i + ON == RUN) __syncwarp();     // no load moves across it: some at a time, not all
    }
  }
  __device__ __forceinline__ void put(int c, int j, A x) {
    if (j < HELD) held[c][j] = x;
    else rest[(c * MORE + j - HELD) * 32] = x;
  }

  // out(row, column, value) for all rows; a number is given by one lane
  template <class Out> __device__ __forceinline__ void multiply(const S* v, int rows, const Out& out) const {
    for (int row = 0; row < rows; row += ROWS) {
      A a[ROWS][P] = {};
      const Run* at = reinterpret_cast<const Run*>(v + row * STRIDE) + part;
#pragma unroll
      for (int j = 0; j < FULL; j += RUN) add(a, at, j);
#pragma unroll (4 / RUN)
      for (int j = FULL; j < K; j += RUN) add(a, at, j);
#pragma unroll
      for (int r = 0; r < ROWS; r++) spread(a[r], row + r, out);
    }
  }

  // The products of numbers j to j + RUN
  __device__ __forceinline__ void add(A (&a)[ROWS][P], const Run* at, int j) const {
    Run v[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; r++) v[r] = at[(r * STRIDE + j * SPLIT) / RUN];
#pragma unroll
    for (int i = 0; i < RUN; i++) {
      A w[C];
#pragma unroll
      for (int c = 0; c < C; c++) w[c] = j + i < HELD ? held[c][j + i] : rest[(c * MORE + j + i - HELD) * 32];
#pragma unroll
      for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int c = 0; c < C; c++) a[r][c] += w[c] * wide(v[r].x[i]);
    }
  }

  // Lanes exchange halves of their sums until each has complete sums of its share: P - 1 exchanges, not 5 P
  template <class Out> __device__ __forceinline__ void spread(A* a, int row, const Out& out) const {
    int mine = first;
#pragma unroll
    for (int bit = SPLIT / 2, n = P; bit; bit >>= 1) {
      if (n > 1) {
        n >>= 1;
        const bool up = part & bit;
#pragma unroll
        for (int c = 0; c < n; c++) {
          const A give = up ? a[c] : a[c + n], keep = up ? a[c + n] : a[c];
          a[c] = keep + __shfl_xor_sync(0xffffffffu, give, bit);
        }
        mine += up ? n : 0;
      } else {
        a[0] += __shfl_xor_sync(0xffffffffu, a[0], bit);
      }
    }
    if (SPLIT > P && part % (SPLIT / P)) return;  // another lane has the same sum
#pragma unroll
    for (int c = 0; c < (P > SPLIT ? P / SPLIT : 1); c++)
      if (mine + c - first < C) out(row, mine + c, a[c]);
  }
};

}  // namespace rnnref
