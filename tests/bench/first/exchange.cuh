// A step's exchange between the blocks of a cluster without a barrier of the cluster: st.async and mbarrier.
//
// Each block has two buffers for what comes, used in turn, and beside each a barrier that counts bytes.  In a step a
// block sets how many bytes it expects, sends its own, and waits until all have come.  It sends for step i + 1 after it
// has waited for step i, so after every block has sent for step i, which each does after it last read the buffer of
// step i + 1: no block overruns another.  That holds for blocks that send in every step, so one without units takes no
// part: it leaves, and no block sends to it.
//
// Not part of the package.  On an H200 it was right, and made a step back 6 to 21 % shorter and a step ahead up to 8 % longer.
#pragma once
#include "cluster.cuh"
#ifndef __CUDACC__
#include <map>
#endif

namespace rnnref {

template <int BLOCKS> struct Exchange {
#ifdef __CUDACC__
#if __CUDA_ARCH__ >= 900
  static __device__ __forceinline__ unsigned barrier(int i) {
    __shared__ __align__(8) unsigned long long barriers[2];
    return (unsigned)__cvta_generic_to_shared(barriers + i % 2);
  }
  static __device__ __forceinline__ unsigned in(unsigned rank, unsigned at) {
    asm volatile("mapa.shared::cluster.u32 %0, %0, %1;" : "+r"(at) : "r"(rank));
    return at;
  }
  // Before the first barrier of the cluster
  static __device__ __forceinline__ void open() {
    if (BLOCKS == 1 || threadIdx.x) return;
    for (int i = 0; i < 2; i++) asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(barrier(i)) : "memory");
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  static __device__ __forceinline__ void expect(int i, int bytes) {
    if (BLOCKS > 1 && threadIdx.x == 0)
      asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier(i)), "r"(bytes) : "memory");
  }
  static __device__ __forceinline__ void post(int i, unsigned* mine, unsigned rank, unsigned x) {
    asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.u32 [%0], %1, [%2];"
                 ::"r"(in_block(mine, rank)), "r"(x), "r"(in(rank, barrier(i))) : "memory");
  }
  static __device__ __forceinline__ void post(int i, double* mine, unsigned rank, double x) {
    asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.f64 [%0], %1, [%2];"
                 ::"r"(in_block(mine, rank)), "d"(x), "r"(in(rank, barrier(i))) : "memory");
  }
  static __device__ __forceinline__ void wait(int i) {
    if (BLOCKS == 1) return __syncthreads();
    unsigned come = 0;
    while (!come)
      asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], %2; "
                   "selp.u32 %0, 1, 0, p; }" : "=r"(come) : "r"(barrier(i)), "r"(i >> 1 & 1) : "memory");
  }
#else
  static __device__ void open();                  // never called: clusters of several blocks are not compiled for these
  static __device__ void expect(int, int);
  template <class T> static __device__ void post(int, T*, unsigned, T);
  static __device__ void wait(int);
#endif
#else
  // The same on the host: the phase of a barrier ends when its thread has arrived and no byte is outstanding
  struct Barrier {
    long long outstanding = 0;
    bool arrived = false;
    unsigned phase = 0;
    void change(long long bytes) {
      outstanding += bytes;
      if (!arrived || outstanding) return;
      arrived = false;
      phase++;
    }
  };
  static Barrier& barrier(unsigned rank, int i) {
    static std::map<unsigned char*, Barrier> of_block[2];
    return of_block[i % 2][shim::shared(rank)];
  }
  static void open() {
    for (int i = 0; i < 2; i++)
      if (threadIdx.x == 0) barrier(shim::rank(), i) = Barrier();
  }
  static void expect(int i, int bytes) {
    if (BLOCKS == 1 || threadIdx.x) return;
    barrier(shim::rank(), i).arrived = true;
    barrier(shim::rank(), i).change(bytes);
  }
  template <class T> static void post(int i, T* mine, unsigned rank, T x) {
    shim::spin();                                 // another thread may be anywhere by then
    send(mine, rank, x);
    barrier(rank, i).change(-(long long)sizeof(T));
  }
  static void wait(int i) {
    if (BLOCKS == 1) return __syncthreads();
    while ((barrier(shim::rank(), i).phase & 1) == (i >> 1 & 1u)) shim::spin();
  }
#endif
  static __device__ __forceinline__ void post(int i, float* mine, unsigned rank, float x) {
    post(i, reinterpret_cast<unsigned*>(mine), rank, bits_of(x));
  }

  // h of one row and unit to all blocks that have units, each block beginning with itself.  Two units of 16 bits go
  // together, so all threads of a warp come here, also those that have nothing to send.
  static __device__ __forceinline__ void give(int i, float* mine, float x, bool here, int, int blocks) {
    if (here) spread(i, reinterpret_cast<unsigned*>(mine), bits_of(x), blocks);
  }
  static __device__ __forceinline__ void give(int i, double* mine, double x, bool here, int, int blocks) {
    if (here) spread(i, mine, x, blocks);
  }
  static __device__ __forceinline__ void give(int i, tf32* mine, tf32 x, bool here, int unit, int blocks) {
    give(i, &mine->value, x.value, here, unit, blocks);
  }
  template <class S> static __device__ __forceinline__ void give(int i, S* mine, S x, bool here, int unit, int blocks) {
    const unsigned own = here ? x.bits : 0u, next = __shfl_xor_sync(0xffffffffu, own, 1);
    if (here && unit % 2 == 0) spread(i, reinterpret_cast<unsigned*>(mine), own | next << 16, blocks);
  }
  template <class T> static __device__ __forceinline__ void spread(int i, T* mine, T x, int blocks) {
    const int own = Cluster<BLOCKS>::rank();
#pragma unroll
    for (int b = 0; b < BLOCKS; b++)
      if (b < blocks) post(i, mine, own + b < blocks ? own + b : own + b - blocks, x);
  }
};

// Bytes of h that come to a block in a step
template <class S> RNNREF int bytes_ahead(int rows, int n) {
  return rows * (sizeof(S) == 2 ? (n + 1) / 2 * 4 : n * (int)sizeof(S));
}

}  // namespace rnnref
