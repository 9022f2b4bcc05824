// Clusters of blocks: their barrier and their addresses; and sizes of what threads share.
#pragma once
#include "elementwise.cuh"

namespace rnnref {

#ifdef __CUDACC__
__device__ __forceinline__ unsigned char* shared_memory() {
  extern __shared__ __align__(16) unsigned char bytes[];
  return bytes;
}
__device__ __forceinline__ unsigned rank_in_cluster() {
  unsigned rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
// What a thread has written before it is seen by all threads of the cluster behind it
__device__ __forceinline__ void cluster_barrier() {
  asm volatile("barrier.cluster.arrive.release;" ::: "memory");
  asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
}
__device__ __forceinline__ unsigned in_this_block(const void* mine) { return (unsigned)__cvta_generic_to_shared(mine); }
// The same place in the shared memory of another block
__device__ __forceinline__ unsigned in_block(const void* mine, unsigned rank) {
  unsigned at = in_this_block(mine);
  asm volatile("mapa.shared::cluster.u32 %0, %0, %1;" : "+r"(at) : "r"(rank));
  return at;
}
#else
inline unsigned rank_in_cluster() { return shim::rank(); }
inline void cluster_barrier() { shim::group_barrier(__LINE__); }
#endif

// The index of the thread, read anew, so that values derived from it are not kept in registers
__device__ __forceinline__ int this_thread() {
#ifdef __CUDACC__
  int index;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(index));
  return index;
#else
  return threadIdx.x;
#endif
}

constexpr int parts(int whole, int size) { return (whole + size - 1) / size; }

// How many of so many adjacent numbers are read at once: the most that fit in 16 bytes and divide their number
template <class A> constexpr int wordful(int count) {
  return count % 4 == 0 && sizeof(A) == 4 ? 4 : count % 2 == 0 ? 2 : 1;
}

// The nearest number that S can represent
template <class S, class A> __device__ __forceinline__ A rounded(A x) {
  S s;
  cast(x, s);
  return wide(s);
}

}  // namespace rnnref
