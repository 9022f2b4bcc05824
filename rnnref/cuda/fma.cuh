// A part of a matrix held by the threads of a block, and its products with vectors, by multiply-add.
#pragma once
#include "cluster.cuh"

namespace rnnref {

// out[column] = sum over k of M[column, k] v[k], for k < DEPTH.
//
// A warp has COLUMNS / WARPS columns.  SPLIT of its lanes share the sum over k: each has every SPLIT-th number, for C
// columns of its own; HELD numbers of a column are in registers, the rest in shared memory.  ROWS vectors at a time.
// The sum is taken in the same order for every vector, whatever the others are.
template <class A, class S, int COLUMNS, int DEPTH, int WARPS_, int SPLIT, int HELD, int ROWS_> struct Fma {
  static constexpr int WARPS = WARPS_, ROWS = ROWS_, ACROSS = 32 / SPLIT;
  static constexpr int C = parts(COLUMNS, WARPS * ACROSS), K = parts(DEPTH, SPLIT), MORE = K - HELD;
  static constexpr int STRIDE = K * SPLIT;        // from one vector to the next
  static constexpr int REST = WARPS * C * MORE * 32 * (int)sizeof(A);                   // bytes of shared memory
  static constexpr int P = C <= 1 ? 1 : C <= 2 ? 2 : C <= 4 ? 4 : C <= 8 ? 8 : C <= 16 ? 16 : 32;
  static_assert(MORE >= 0 && C <= 32, "a tiling that does not fit");

  A held[C][HELD > 0 ? HELD : 1];
  A* rest;
  int part, first;                                // which share of the sum; its first column

  template <class Matrix> __device__ __forceinline__ void load(unsigned char* shared, const Matrix& matrix) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    part = lane % SPLIT;
    first = (warp * ACROSS + lane / SPLIT) * C;
    rest = reinterpret_cast<A*>(shared) + warp * C * MORE * 32 + lane;
#pragma unroll
    for (int j = 0; j < HELD; j++) {
#pragma unroll
      for (int c = 0; c < C; c++) held[c][j] = rounded<S, A>(matrix(first + c, j * SPLIT + part));
      __syncwarp();                               // no load goes past it: a few at a time, not all at once
    }
    for (int j = HELD; j < K; j++)
      for (int c = 0; c < C; c++)
        rest[(c * MORE + j - HELD) * 32] = rounded<S, A>(matrix(first + c, j * SPLIT + part));
  }

  // out(row, column, value) for all rows; a number is given by one lane
  template <class Out> __device__ __forceinline__ void multiply(const S* v, int rows, const Out& out) const {
    for (int row = 0; row < rows; row += ROWS) {
      A a[ROWS][P] = {};
      const S* at = v + row * STRIDE + part;
#pragma unroll
      for (int j = 0; j < HELD; j++)
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
          const A x = wide(at[r * STRIDE + j * SPLIT]);
#pragma unroll
          for (int c = 0; c < C; c++) a[r][c] += held[c][j] * x;
        }
#pragma unroll 4
      for (int j = HELD; j < K; j++) {
        A w[C];
#pragma unroll
        for (int c = 0; c < C; c++) w[c] = rest[(c * MORE + j - HELD) * 32];
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
          const A x = wide(at[r * STRIDE + j * SPLIT]);
#pragma unroll
          for (int c = 0; c < C; c++) a[r][c] += w[c] * x;
        }
      }
#pragma unroll
      for (int r = 0; r < ROWS; r++) spread(a[r], row + r, out);
    }
  }

  // Lanes exchange halves of what they have until each has its share of the sums whole: P - 1 exchanges, not 5 P
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
    if (SPLIT > P && part % (SPLIT / P)) return;  // another lane has the same
#pragma unroll
    for (int c = 0; c < (P > SPLIT ? P / SPLIT : 1); c++)
      if (mine + c - first < C) out(row, mine + c, a[c]);
  }
};

}  // namespace rnnref
