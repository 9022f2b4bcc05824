// Kernels that do one thing many times, so that its cost can be told.
//
// Nothing is included: NVRTC needs no header for these.

typedef unsigned int word;

__device__ __forceinline__ word acquired(const word* at) {
  word value;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(at) : "memory");
  return value;
}

__device__ __forceinline__ void arrive(word* at) {
  asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(at) : "memory");
}

// A barrier among `size` blocks, `times` over.  counters: one for each group, 128 bytes apart, all zero.
__device__ __forceinline__ void barriers(word* counters, int times, int size, bool fenced) {
  word* mine = counters + (blockIdx.x / size) * 32;
  for (int i = 0; i < times; i++) {
    __syncthreads();
    if (threadIdx.x == 0) {
      if (fenced) __threadfence();
      arrive(mine);
      while (acquired(mine) < (word)(i + 1) * size) {}
    }
    __syncthreads();
  }
}

extern "C" __global__ void probe_group_barrier(word* counters, int times, int size) {
  barriers(counters, times, size, false);
}

extern "C" __global__ void probe_group_barrier_fenced(word* counters, int times, int size) {
  barriers(counters, times, size, true);
}

// Every block reads the same `count` vectors, `times` over; the sum keeps the compiler from leaving it out.
extern "C" __global__ void probe_broadcast(const float4* x, float* out, int count, int times) {
  float sum = 0;
  for (int i = 0; i < times; i++)
    for (int k = threadIdx.x; k < count; k += blockDim.x) {
      const float4 v = __ldcg(x + k);
      sum += v.x + v.y + v.z + v.w;
    }
  if (sum == 12345.678f) out[0] = sum;
}

extern "C" __global__ void probe_empty(float* x) {
  if (x == nullptr) *x = 1;
}

// Clocks of 32 tensor instructions of one warp, each adding to the sum of the last, or to every fourth sum
__device__ __forceinline__ long long clocks_of(float* d, int chains) {
  const long long start = clock64();
#pragma unroll
  for (int j = 0; j < 32; j++) {
    float* sum = d + (chains == 4 ? j % 4 * 4 : 0);
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                 "{%0,%1,%2,%3}, {%4,%4,%4,%4}, {%4,%4}, {%0,%1,%2,%3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3]) : "r"(0u));
  }
  float all = 0;
#pragma unroll
  for (int k = 0; k < 16; k++) all += d[k];
  asm volatile("" ::"f"(all) : "memory");
  return clock64() - start;
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
extern "C" __global__ void probe_chains(long long* out) {
  float d[16] = {};
  for (int k = 0; k < 2; k++) {                   // what was loaded first does not count
    out[0] = clocks_of(d, 1);
    out[1] = clocks_of(d, 4);
  }
}
#endif

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900

__device__ __forceinline__ void cluster_barrier() {
  asm volatile(
      "barrier.cluster.arrive.release.aligned;\n"
      "barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

template <int size>
__global__ void __cluster_dims__(size, 1, 1) probe_cluster_barrier(float* out, int times) {
  for (int i = 0; i < times; i++) cluster_barrier();
  if (times < 0) out[0] = 1;
}

// The same exchange by st.async: each block waits for the bytes of a step, not for the other blocks.
template <int size>
__global__ void __cluster_dims__(size, 1, 1) probe_cluster_bytes(float* out, int times, int count) {
  extern __shared__ float held[];                 // [2, size, count], and two barriers behind it
  const word barriers = (word)__cvta_generic_to_shared(held + 2 * size * count);
  word rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  for (int k = threadIdx.x; k < 2 * size * count; k += blockDim.x) held[k] = 0;
  if (threadIdx.x == 0) {
    for (int k = 0; k < 2; k++)
      asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(barriers + 8 * k) : "memory");
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  cluster_barrier();
  for (int i = 0; i < times; i++) {
    const float x = held[(i & 1) * size * count + threadIdx.x % count];
    __syncthreads();                              // all have read before any sends: whoever has our bytes may overwrite
    const word to = (word)__cvta_generic_to_shared(held + ((i + 1) & 1) * size * count + rank * count);
    const word barrier = barriers + 8 * (i & 1);
    if (threadIdx.x == 0)
      asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;"
                   ::"r"(barrier), "r"(size * count * 4) : "memory");
    for (int k = threadIdx.x; k < size * count; k += blockDim.x) {
      word there, counts;
      asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(to + k % count * 4), "r"(k / count));
      asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(counts) : "r"(barrier), "r"(k / count));
      asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.f32 [%0], %1, [%2];"
                   ::"r"(there), "f"(x + 1), "r"(counts) : "memory");
    }
    for (word come = 0; !come;)
      asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], %2; "
                   "selp.u32 %0, 1, 0, p; }" : "=r"(come) : "r"(barrier), "r"(i >> 1 & 1) : "memory");
  }
  if (threadIdx.x == 0) out[blockIdx.x] = held[0];
  cluster_barrier();                              // none leaves while others may still send to it
}

// A step's exchange: every block sends `count` numbers to every block of its cluster, then the barrier.
template <int size>
__global__ void __cluster_dims__(size, 1, 1) probe_cluster_exchange(float* out, int times, int count) {
  extern __shared__ float held[];                 // [2, size, count]: read from one half, written to the other
  word rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  for (int k = threadIdx.x; k < 2 * size * count; k += blockDim.x) held[k] = 0;
  cluster_barrier();
  for (int i = 0; i < times; i++) {
    const float* from = held + (i & 1) * size * count;
    float* to = held + ((i + 1) & 1) * size * count + rank * count;
    for (int k = threadIdx.x; k < size * count; k += blockDim.x) {
      const word peer = k / count;
      unsigned long long there;
      asm volatile("mapa.u64 %0, %1, %2;" : "=l"(there) : "l"(to + k % count), "r"(peer));
      *(float*)there = from[k] + 1;
    }
    cluster_barrier();
  }
  if (threadIdx.x == 0) out[blockIdx.x] = held[0];
}

#endif
