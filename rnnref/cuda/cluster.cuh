// Clusters of blocks: their barrier, and access to the shared memory of each other.
//
// A cluster of one block is a block, and runs on cards without clusters.
#pragma once
#include "elementwise.cuh"

namespace rnnref {

#ifdef __CUDACC__
__device__ __forceinline__ unsigned char* shared_memory() {
  extern __shared__ __align__(16) unsigned char bytes[];
  return bytes;
}
#if __CUDA_ARCH__ >= 900
__device__ __forceinline__ unsigned rank_in_cluster() {
  unsigned rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
__device__ __forceinline__ void cluster_arrive() { asm volatile("barrier.cluster.arrive.release;" ::: "memory"); }
__device__ __forceinline__ void cluster_wait() { asm volatile("barrier.cluster.wait.acquire;" ::: "memory"); }
// The value at the address of `mine`, in the shared memory of another block
__device__ __forceinline__ unsigned in_block(const void* mine, unsigned rank) {
  unsigned at = (unsigned)__cvta_generic_to_shared(mine);
  asm volatile("mapa.shared::cluster.u32 %0, %0, %1;" : "+r"(at) : "r"(rank));
  return at;
}
__device__ __forceinline__ void send(unsigned short* mine, unsigned rank, unsigned short value) {
  asm volatile("st.shared::cluster.u16 [%0], %1;" ::"r"(in_block(mine, rank)), "h"(value) : "memory");
}
__device__ __forceinline__ void send(float* mine, unsigned rank, float value) {
  asm volatile("st.shared::cluster.f32 [%0], %1;" ::"r"(in_block(mine, rank)), "f"(value) : "memory");
}
__device__ __forceinline__ void send(double* mine, unsigned rank, double value) {
  asm volatile("st.shared::cluster.f64 [%0], %1;" ::"r"(in_block(mine, rank)), "d"(value) : "memory");
}
#else
__device__ unsigned rank_in_cluster();            // never called: a cluster of several blocks is not compiled for these
__device__ void cluster_arrive();
__device__ void cluster_wait();
template <class T> __device__ void send(T*, unsigned, T);
#endif
#else
inline unsigned rank_in_cluster() { return shim::rank(); }
inline void cluster_arrive() { shim::arrive(); }
inline void cluster_wait() { shim::wait_for_all(); }
template <class T> void send(T* mine, unsigned rank, T value) {
  *reinterpret_cast<T*>(reinterpret_cast<unsigned char*>(mine) - shared_memory() + shim::shared(rank)) = value;
}
#endif
__device__ __forceinline__ void send(half* mine, unsigned rank, half x) { send(&mine->bits, rank, x.bits); }
__device__ __forceinline__ void send(bfloat16* mine, unsigned rank, bfloat16 x) { send(&mine->bits, rank, x.bits); }

// Every thread of the cluster arrives; its writes before that are visible to all threads that have waited.  Writes
// between arriving and waiting are not waited for.
template <int BLOCKS> struct Cluster {
  static __device__ __forceinline__ unsigned rank() { return BLOCKS > 1 ? rank_in_cluster() : 0; }
  static __device__ __forceinline__ void arrive() { if (BLOCKS > 1) cluster_arrive(); }
  static __device__ __forceinline__ void wait() {
    if (BLOCKS > 1) cluster_wait();
    else __syncthreads();
  }
  template <class T> static __device__ __forceinline__ void give(T* mine, unsigned block, T value) {
    if (BLOCKS > 1) send(mine, block, value);
    else *mine = value;
  }
};

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
