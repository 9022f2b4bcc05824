// Functions of one number, each beside its derivative, and the types that numbers are stored in.
// As in rnnref/elementwise.py and the dtype rules of rnnref/arrays.py.  C++17 for NVRTC, nvcc and a host compiler; no
// header of CUDA is included.  There is one overload for each type and none for others, so that nothing is
// silently computed in double.
#pragma once
#ifdef __CUDACC__
#define RNNREF __device__ __forceinline__
#else
#include <cmath>
#include <cstring>
#define RNNREF inline
#endif

namespace rnnref {

struct half { unsigned short bits; };
struct bfloat16 { unsigned short bits; };

// ---- arithmetic: float and double ----

RNNREF float exp(float x) { return ::expf(x); }
RNNREF double exp(double x) { return ::exp(x); }
RNNREF float tanh(float x) { return ::tanhf(x); }
RNNREF double tanh(double x) { return ::tanh(x); }
template <class A> RNNREF A dtanh(A y, A dy) { return dy * (1 - y * y); }

// 1 / (1 + exp(-x)) with exp of -|x|: it never overflows, and keeps its digits near 0
template <class A> RNNREF A sigmoid(A x) {
  const A e = exp(x < 0 ? x : -x), r = 1 / (1 + e);
  return x < 0 ? e * r : r;
}
template <class A> RNNREF A dsigmoid(A y, A dy) { return dy * y * (1 - y); }

// x where |x| < limit, else the limit with its sign; NaN stays NaN
template <class A> RNNREF A clip(A x, A limit) { return x > limit ? limit : x < -limit ? -limit : x; }
template <class A> RNNREF A dclip(A x, A limit, A dy) { return x < limit && x > -limit ? dy : A(0); }

// ---- storage: float and double as they are; 16 bits, rounded to the nearest and ties to even ----

#ifdef __CUDACC__
RNNREF unsigned bits_of(float x) { return __float_as_uint(x); }
RNNREF float of_bits(unsigned u) { return __uint_as_float(u); }

RNNREF float wide(half x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}
RNNREF void cast(float x, half& to) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(to.bits) : "f"(x)); }
#else
RNNREF unsigned bits_of(float x) { unsigned u; std::memcpy(&u, &x, 4); return u; }
RNNREF float of_bits(unsigned u) { float x; std::memcpy(&x, &u, 4); return x; }

// half: 5 bits of exponent biased by 15, 10 of mantissa; float: 8 biased by 127, 23.  So 13 bits and a bias of 112 more
RNNREF float wide(half x) {
  const unsigned sign = (x.bits & 0x8000u) << 16, u = (x.bits & 0x7fffu) << 13, exponent = u & (31u << 23);
  if (exponent == 31u << 23) return of_bits(sign | (u + (224u << 23)));         // infinite or NaN
  if (exponent) return of_bits(sign | (u + (112u << 23)));
  const float least = of_bits(113u << 23);                                      // 2^-14: below it there is no hidden 1
  return of_bits(sign | bits_of(of_bits(u + (113u << 23)) - least));
}
RNNREF void cast(float x, half& to) {
  const unsigned sign = bits_of(x) >> 16 & 0x8000u, u = bits_of(x) & 0x7fffffffu;
  unsigned magnitude;
  if (u > 255u << 23) magnitude = 0x7e00u;                                      // NaN
  else if (u >= 0x477ff000u) magnitude = 0x7c00u;                               // 65520: halfway past the largest
  else if (u < 113u << 23) magnitude = bits_of(of_bits(u) + 0.5f) - (126u << 23);   // the addition rounds to 2^-24
  else magnitude = (u - (112u << 23) + 0xfffu + (u >> 13 & 1u)) >> 13;
  to.bits = (unsigned short)(sign | magnitude);
}
#endif

RNNREF float wide(bfloat16 x) { return of_bits((unsigned)x.bits << 16); }
RNNREF float wide(float x) { return x; }
RNNREF double wide(double x) { return x; }

RNNREF void cast(float x, bfloat16& to) {          // by hand: cards before sm_80 have no instruction for it
  const unsigned u = bits_of(x);
  const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
  to.bits = (unsigned short)(nan ? u >> 16 | 0x40u : (u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}
RNNREF void cast(float x, float& to) { to = x; }
RNNREF void cast(double x, double& to) { to = x; }

}  // namespace rnnref
