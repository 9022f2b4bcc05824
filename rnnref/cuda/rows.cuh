// The indices of each thread, and its reads and writes: shared by the kernels of one step.
//
// Arrays are [rows, blocks, n], contiguous.  A thread computes one unit of one row at a time and strides over both axes
// of its grid, so any launch gives the same bits.  A null pointer is zero where it is read; where it would be written
// to, the result is not needed.
#pragma once
#include "elementwise.cuh"

namespace rnnref {

struct Rows {
  const unsigned char* live;                      // [rows / span], or null: all are
  int rows, n, span;

  __device__ bool dead(int row) const { return live && !live[row / span]; }
  __device__ long long place(int row, int u, int blocks = 1, int j = 0) const {
    return ((long long)row * blocks + j) * n + u;
  }
};

template <class T> __device__ __forceinline__ auto read(const T* a, long long at) -> decltype(wide(*a)) {
  return a ? wide(a[at]) : 0;
}

template <class T, class A> __device__ __forceinline__ void write(T* a, long long at, A value) {
  if (a) cast(value, a[at]);
}

// step(args..., row, u) for every unit of every row
template <class Args> __device__ __forceinline__ void each(const Args& args, const Rows& to) {
  const int down = gridDim.y * blockDim.y, along = gridDim.x * blockDim.x;
  for (int row = blockIdx.y * blockDim.y + threadIdx.y; row < to.rows; row += down)
    for (int u = blockIdx.x * blockDim.x + threadIdx.x; u < to.n; u += along) args.step(row, u);
}

}  // namespace rnnref
