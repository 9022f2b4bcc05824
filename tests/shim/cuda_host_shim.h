// The CUDA language on a CPU: what the text of a kernel needs so that g++ compiles it as it is.
//
// Every CUDA thread is a fiber on one thread of the CPU (engine.cpp).  Fibers change places only at barriers, at
// exchanges in a warp, in spin() and where they end, in an order that is a parameter: a kernel that lacks a barrier
// gives other results in another order.  Asynchronous stores land where fibers change places, and the order says when:
// as late as can be (first to last), at once (last to first), or at random.  Found and said: barriers that not all
// threads reach or that are two in the source, lanes that are not in their mask, waiting without end, shared memory read
// before it is written (NaN) or written past its end, or that of a block which has not begun or has ended; barriers of
// bytes that are not open, written over, or a phase behind.  Not modelled: the ordering of memory, stale ld.global.nc,
// divergence, banks, the device's own rounding of exp and tanh.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))
// A static array would be one for all blocks: kernels take what they share from shared_memory() instead.
#define __shared__ static_shared_memory_is_not_here_take_shared_memory

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };

namespace shim {

struct Thread { uint3 thread, block; int lane; };   // where the running CUDA thread is
extern Thread* now;
extern dim3 block_size, grid_size;

void barrier(int line);                           // of the block
void group_barrier(int line);                     // of the blocks that run together: a cluster, or the whole grid
const uint64_t* exchange(unsigned mask, int line, uint64_t mine);       // what each lane of the warp gave
void spin();                                      // waiting for a number that another thread will write
unsigned char* shared(unsigned block);            // of a block of the group, which must have begun and not ended
unsigned rank();                                  // of this block in its group
// mbarrier with one arrival, in 8 bytes of shared memory, and st.async: see exchange.cuh
void open(void* barrier);
void announce(void* barrier, int bytes);
void wait_for_phase(void* barrier, int parity);
void store_async(void* mine, unsigned block, const void* number, size_t size, void* barrier);

template <class T> T shuffle(unsigned mask, T value, int from, int line) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable<T>::value, "a number of at most 8 bytes");
  uint64_t mine = 0;
  std::memcpy(&mine, &value, sizeof(T));
  const uint64_t* all = exchange(mask, line, mine);
  if (from >= 0 && from < 32) std::memcpy(&value, &all[from], sizeof(T));       // else it keeps its own, as on a card
  return value;
}

// The sizes of a kernel's arguments, for the caller to compare with: p 4 is a pointer to 4 bytes, v 24 a value of 24
template <class... A> void sizes(void (*)(A...), void (*say)(char, size_t)) {
  auto one = [&](auto* a) {
    using T = std::remove_pointer_t<decltype(a)>;
    using P = std::remove_pointer_t<T>;
    if constexpr (std::is_pointer<T>::value) say('p', sizeof(std::conditional_t<std::is_void<P>::value, char, P>));
    else say('v', sizeof(T));
  };
  (one(static_cast<A*>(nullptr)), ...);
}
template <class... A, size_t... I> void call(void (*kernel)(A...), void** args, std::index_sequence<I...>) {
  kernel(*static_cast<A*>(args[I])...);
}
template <class... A> void call(void (*kernel)(A...), void** args) {
  call(kernel, args, std::index_sequence_for<A...>());
}

}  // namespace shim

#define SHIM_EXPORT(name)                                                                                    \
  extern "C" void shim_call_##name(void** args) { shim::call(name, args); }                                  \
  extern "C" void shim_sizes_##name(void (*say)(char, size_t)) { shim::sizes(name, say); }

#define threadIdx (shim::now->thread)
#define blockIdx (shim::now->block)
#define blockDim (shim::block_size)
#define gridDim (shim::grid_size)
#define shared_memory() shim::shared(shim::rank())
#define __syncthreads() shim::barrier(__LINE__)
#define __syncwarp(...) ((void)shim::exchange(0xffffffffu, __LINE__, 0))
#define __shfl_sync(mask, value, from) shim::shuffle((mask), (value), (int)(from), __LINE__)
#define __shfl_xor_sync(mask, value, bits) shim::shuffle((mask), (value), shim::now->lane ^ (int)(bits), __LINE__)
#define __shfl_down_sync(mask, value, by) shim::shuffle((mask), (value), shim::now->lane + (int)(by), __LINE__)
#define __shfl_up_sync(mask, value, by) shim::shuffle((mask), (value), shim::now->lane - (int)(by), __LINE__)
