// What the blocks of a cluster send each other in a step: by st.async, and each block waits for bytes, not for blocks.
//
// A block has two buffers for what comes, used in turn, and for each an mbarrier, which counts bytes.  In step i it says
// how many will come, sends its own, and waits until all have come, in whatever order; some may come before that is said.
// It sends for step i + 1 after it has waited for step i, so after every block has sent for step i, which each does
// after it last read the buffer of step i + 1: no buffer is written while it is read.  That holds for blocks that send
// in every step, so a block without units leaves before the first, and nothing is sent to it.
//
// A thread sends after it has read what others of its block wrote in shared memory, and its bytes are waited for in its own
// block too: so no thread that has waited writes there too early.  (racecheck does not see this: tests/bench/sanitizer.py)
//
// A cluster of one block writes to its own shared memory and needs no more than the barrier of a block, on every card.
#pragma once
#include "cluster.cuh"

namespace rnnref {

// A barrier with one arrival, which announces bytes: its phase ends when so many have come since the last one.  They
// come with stores into the shared memory of the block that has the barrier.
typedef unsigned long long ByteBarrier;

#ifdef __CUDACC__
__device__ __forceinline__ void open(ByteBarrier* barrier) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(in_this_block(barrier)) : "memory");
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ __forceinline__ void announce(ByteBarrier* barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;"
               ::"r"(in_this_block(barrier)), "r"(bytes) : "memory");
}
__device__ __forceinline__ void wait_for_phase(ByteBarrier* barrier, int parity) {
  unsigned ended = 0;
  while (!ended)
    asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], %2; "
                 "selp.u32 %0, 1, 0, p; }" : "=r"(ended) : "r"(in_this_block(barrier)), "r"(parity) : "memory");
}
__device__ __forceinline__ void store_async(unsigned* mine, unsigned rank, unsigned x, ByteBarrier* barrier) {
  asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.u32 [%0], %1, [%2];"
               ::"r"(in_block(mine, rank)), "r"(x), "r"(in_block(barrier, rank)) : "memory");
}
__device__ __forceinline__ void store_async(double* mine, unsigned rank, double x, ByteBarrier* barrier) {
  asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.f64 [%0], %1, [%2];"
               ::"r"(in_block(mine, rank)), "d"(x), "r"(in_block(barrier, rank)) : "memory");
}
#else
inline void open(ByteBarrier* barrier) { shim::open(barrier); }
inline void announce(ByteBarrier* barrier, int bytes) { shim::announce(barrier, bytes); }
inline void wait_for_phase(ByteBarrier* barrier, int parity) { shim::wait_for_phase(barrier, parity); }
template <class T> void store_async(T* mine, unsigned rank, T x, ByteBarrier* barrier) {
  shim::store_async(mine, rank, &x, sizeof(T), barrier);
}
#endif

template <int BLOCKS> struct Exchange {
  static constexpr int BYTES = 2 * sizeof(ByteBarrier);                      // the first of shared memory

  static __device__ __forceinline__ unsigned rank() { return rank_in_cluster(); }
  static __device__ __forceinline__ ByteBarrier* barrier(int i) {
    return reinterpret_cast<ByteBarrier*>(shared_memory()) + i % 2;
  }

  // All blocks of the cluster have begun, and their barriers are open
  static __device__ __forceinline__ void begin() {
    if (threadIdx.x == 0)
      for (int i = 0; i < 2; i++) open(barrier(i));
    cluster_barrier();
  }
  static __device__ __forceinline__ void expect(int i, int bytes) {
    if (threadIdx.x == 0) announce(barrier(i), bytes);
  }
  // Until all that was expected in step i has come; the lanes of a warp go on together
  static __device__ __forceinline__ void wait(int i) {
    wait_for_phase(barrier(i), i / 2 % 2);
    __syncwarp();
  }
  // The same, and all threads of the block have come here
  static __device__ __forceinline__ void meet(int i) {
    __syncthreads();
    wait(i);
  }

  // A number to the same place in the shared memory of a block
  template <class T> static __device__ __forceinline__ void send(int i, T* mine, unsigned block, T x) {
    store_async(mine, block, x, barrier(i));
  }
  static __device__ __forceinline__ void send(int i, float* mine, unsigned block, float x) {
    send(i, reinterpret_cast<unsigned*>(mine), block, bits_of(x));
  }

  // A number of this lane to the same place in the first `blocks` blocks, this one first.  Two numbers of 16 bits go as
  // one word: adjacent lanes have adjacent numbers, and all lanes of a warp come here, those that have none with 0.
  template <class S> static __device__ __forceinline__ void share(int i, S* mine, S x, bool here, int blocks) {
    if constexpr (sizeof(S) == 2) {
      const unsigned next = __shfl_xor_sync(0xffffffffu, (unsigned)x.bits, 1);
      if (here && threadIdx.x % 2 == 0) spread(i, reinterpret_cast<unsigned*>(mine), x.bits | next << 16, blocks);
    } else if constexpr (sizeof(S) == 4) {
      if (here) spread(i, reinterpret_cast<unsigned*>(mine), bits_of(wide(x)), blocks);
    } else {
      if (here) spread(i, mine, x, blocks);
    }
  }
  // Bytes that come to each block if so many adjacent numbers are shared
  template <class S> static __device__ __forceinline__ int bytes_of(int count) {
    return sizeof(S) == 2 ? parts(count, 2) * 4 : count * (int)sizeof(S);
  }
  template <class T> static __device__ __forceinline__ void spread(int i, T* mine, T x, int blocks) {
    const int own = rank();
#pragma unroll
    for (int b = 0; b < BLOCKS; b++)
      if (b < blocks) send(i, mine, own + b < blocks ? own + b : own + b - blocks, x);
  }
};

template <> struct Exchange<1> {
  static constexpr int BYTES = 0;

  static __device__ __forceinline__ unsigned rank() { return 0; }
  static __device__ __forceinline__ void begin() { __syncthreads(); }
  static __device__ __forceinline__ void expect(int, int) {}
  static __device__ __forceinline__ void wait(int) { __syncthreads(); }
  static __device__ __forceinline__ void meet(int) { __syncthreads(); }
  template <class T> static __device__ __forceinline__ void send(int, T* mine, unsigned, T x) { *mine = x; }
  template <class S> static __device__ __forceinline__ void share(int, S* mine, S x, bool here, int) {
    if (here) *mine = x;
  }
  template <class S> static __device__ __forceinline__ int bytes_of(int) { return 0; }
};

}  // namespace rnnref
