// Kernels that do one thing many times, so that its cost can be told.  Not run on a device yet.
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
