// The product of fma.cuh on tensor cores: mma.sync, 16 columns of the matrix with 8 vectors, sums in float.
#pragma once
#include "cluster.cuh"

namespace rnnref {

// float with 10 bits of mantissa, rounded to the nearest and ties away from zero
struct tf32 { float value; };
RNNREF float wide(tf32 x) { return x.value; }
RNNREF void cast(float x, tf32& to) {
#ifdef __CUDACC__
  unsigned u;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(u) : "f"(x));
  to.value = of_bits(u);
#else
  const unsigned u = bits_of(x);
  to.value = (u & 0x7f800000u) == 0x7f800000u ? x : of_bits((u + 0x1000u) & 0xffffe000u);
#endif
}

// A word of 32 bits holds one number of tf32 or two of 16 bits, the first in its lower half
RNNREF unsigned word(tf32 first, tf32) { return bits_of(first.value); }
template <class S> RNNREF unsigned word(S first, S second) { return first.bits | (unsigned)second.bits << 16; }

// d[16 x 8] += a[16 x 8 words] b[8 words x 8].  Lane 4 g + t has of a the words t and t + 4 of rows g and g + 8 (in the
// order g t, g+8 t, g t+4, g+8 t+4), of b the words t and t + 4 of vector g, of d rows g and g + 8 of vectors 2t, 2t + 1.
#ifdef __CUDACC__
#define RNNREF_MMA(type, shape, kind)                                                                              \
  RNNREF void mma(float* d, const unsigned* a, const unsigned* b, type) {                                          \
    asm volatile("mma.sync.aligned.m16n8" shape ".row.col.f32." kind "." kind ".f32 "                              \
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"                                           \
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                                  \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                              \
  }
#if __CUDA_ARCH__ >= 800
RNNREF_MMA(tf32, "k8", "tf32")
RNNREF_MMA(half, "k16", "f16")
RNNREF_MMA(bfloat16, "k16", "bf16")
#endif
#else
inline float dot(unsigned a, unsigned b, tf32) { return of_bits(a) * of_bits(b); }
template <class S> float dot(unsigned a, unsigned b, S) {
  float sum = 0;
  for (int bits = 0; bits < 32; bits += 16)
    sum += wide(S{(unsigned short)(a >> bits)}) * wide(S{(unsigned short)(b >> bits)});
  return sum;
}
template <class S> void mma(float* d, const unsigned* a, const unsigned* b, S kind) {
  uint64_t given[3][32];
  const unsigned* mine[3] = {a, a + 2, b};
  for (int i = 0; i < 3; i++)
    std::memcpy(given[i], shim::exchange(0xffffffffu, __LINE__, mine[i][0] | (uint64_t)mine[i][1] << 32), 256);
  const int g = shim::now->lane / 4, t = shim::now->lane % 4;
  for (int i = 0; i < 4; i++)
    for (int w = 0; w < 8; w++) {
      const uint64_t of_a = given[w / 4][g * 4 + w % 4], of_b = given[2][(2 * t + i % 2) * 4 + w % 4];
      d[i] += dot((unsigned)(of_a >> 32 * (i / 2)), (unsigned)(of_b >> 32 * (w / 4)), kind);
    }
}
#endif

// A number that compilers must keep: they cannot compute it again from operands, which would have to be kept too
__device__ __forceinline__ unsigned settled(unsigned x) {
#ifdef __CUDACC__
  return __shfl_sync(0xffffffffu, x, threadIdx.x % 32);
#else
  return x;
#endif
}

// out[column] = sum over k of M[column, k] v[k].  A warp has TILES times 16 columns; HELD of the fragments of a tile are
// in registers, the rest in shared memory.  ROWS vectors at a time, each a column of the product: its result does not
// depend on the others.
template <class S, int COLUMNS, int DEPTH, int WARPS_, int HELD, int ROWS_> struct Mma {
  static constexpr int WARPS = WARPS_, ROWS = ROWS_, EIGHTS = ROWS / 8;
  static constexpr int IN_WORD = 4 / (int)sizeof(S), STEP = 8 * IN_WORD;
  static constexpr int TILES = parts(COLUMNS, 16 * WARPS), K = parts(DEPTH, STEP), MORE = K - HELD;
  static constexpr int WORDS = K * 8 + 4, STRIDE = WORDS * IN_WORD;          // 4 more: eight vectors, 32 banks
  static constexpr int REST = WARPS * TILES * MORE * 32 * 16;
  // An instruction waits for the one whose sum it adds to, 33 clocks on an H100: at least four sums are in progress
  static constexpr int CHAINS = parts(4, EIGHTS * TILES);
  static_assert(MORE >= 0 && ROWS % 8 == 0, "a tiling that does not fit");
  struct __align__(16) Four { unsigned word[4]; };

  Four held[TILES][HELD > 0 ? HELD : 1];
  Four* rest;

  // Eight lanes read adjacent units: whole sectors of memory, one number at a time
  template <class Matrix> __device__ __forceinline__ void load(unsigned char* shared, const Matrix& matrix) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    rest = reinterpret_cast<Four*>(shared) + warp * TILES * MORE * 32 + lane;
#pragma unroll
    for (int j = 0; j < HELD; j++) {
#pragma unroll
      for (int tile = 0; tile < TILES; tile++) held[tile][j] = four(matrix, warp * TILES + tile, j);
      if ((j + 1) % parts(4, TILES) == 0) __syncwarp();        // no load moves across it: a few at a time, not all
    }
    for (int j = HELD; j < K; j++)
      for (int tile = 0; tile < TILES; tile++)
        rest[(tile * MORE + j - HELD) * 32] = four(matrix, warp * TILES + tile, j);
  }

  template <class Matrix> __device__ __forceinline__ Four four(const Matrix& matrix, int tile, int j) const {
    const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    Four f;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int column = tile * 16 + g + i % 2 * 8, k = j * STEP + (t + i / 2 * 4) * IN_WORD;
      float x[2] = {};
#pragma unroll
      for (int q = 0; q < IN_WORD; q++) matrix.template read<1>(column, k + q, x + q);
      S first, second;
      cast(x[0], first);
      cast(x[1], second);
      f.word[i] = settled(word(first, second));
    }
    return f;
  }

  template <class Out> __device__ __forceinline__ void multiply(const S* v, int rows, const Out& out) const {
    const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    for (int row = 0; row < rows; row += ROWS) {
      float d[CHAINS][EIGHTS][TILES][4] = {};
      const unsigned* at = reinterpret_cast<const unsigned*>(v) + (row + g) * WORDS + t;
#pragma unroll
      for (int j = 0; j < HELD; j++)
        add(d[j % CHAINS], at + j * 8, [&](int tile) -> const Four& { return held[tile][j]; });
      int j = HELD;
      for (; j + CHAINS <= K; j += CHAINS)
#pragma unroll
        for (int chain = 0; chain < CHAINS; chain++) add_rest(d[chain], at, j + chain);
#pragma unroll
      for (int chain = 0; chain < MORE % CHAINS; chain++) add_rest(d[chain], at, j + chain);
#pragma unroll
      for (int e = 0; e < EIGHTS; e++)
#pragma unroll
        for (int tile = 0; tile < TILES; tile++)
#pragma unroll
          for (int i = 0; i < 4; i++)
#pragma unroll
            for (int chain = 1; chain < CHAINS; chain++) d[0][e][tile][i] += d[chain][e][tile][i];
      const int thread = this_thread(), column = thread / 32 * TILES * 16 + thread % 32 / 4, first = row + thread % 4 * 2;
#pragma unroll
      for (int e = 0; e < EIGHTS; e++)
#pragma unroll
        for (int tile = 0; tile < TILES; tile++)
#pragma unroll
          for (int i = 0; i < 4; i++) out(first + e * 8 + i % 2, column + tile * 16 + i / 2 * 8, d[0][e][tile][i]);
    }
  }

  // One fragment of each tile with its words of the vectors
  template <class Of>
  __device__ __forceinline__ void add(float (&d)[EIGHTS][TILES][4], const unsigned* at, const Of& of) const {
#pragma unroll
    for (int e = 0; e < EIGHTS; e++) {
      const unsigned b[2] = {at[e * 8 * WORDS], at[e * 8 * WORDS + 4]};
#pragma unroll
      for (int tile = 0; tile < TILES; tile++) mma(d[e][tile], of(tile).word, b, S());
    }
  }
  __device__ __forceinline__ void add_rest(float (&d)[EIGHTS][TILES][4], const unsigned* at, int j) const {
    add(d, at + j * 8, [&](int tile) { return rest[(tile * MORE + j - HELD) * 32]; });
  }
};

}  // namespace rnnref
