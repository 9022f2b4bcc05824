// Kernels that are here to try the shim itself: what one needs beyond a thread for each number, and what can go wrong.
// A fault is planted by a macro: FAULT is its number.
#ifndef FAULT
#define FAULT 0
#endif

// b = a', in tiles through shared memory.  1: no barrier; 2: the tile is read as it was written; 3: one column short
extern "C" __global__ void transpose(const float* a, float* b, int n) {
  float* tile = reinterpret_cast<float*>(shared_memory());
  const int side = blockDim.x, x = threadIdx.x, y = threadIdx.y;
  const int row = blockIdx.y * side + y, column = blockIdx.x * side + x;
  if (row < n && column < n) tile[y * side + x] = a[row * n + column];
#if FAULT != 1
  __syncthreads();
#endif
  const int to = blockIdx.x * side + y, from = blockIdx.y * side + x;
  if (to < n && from < n - (FAULT == 3)) b[to * n + from] = FAULT == 2 ? tile[y * side + x] : tile[x * side + y];
}

// The sum of a warp's numbers, in every lane.  4: a lane that is not in the mask
extern "C" __global__ void warp_sum(const double* a, double* b) {
  double s = a[threadIdx.x];
  for (int bits = 16; bits; bits >>= 1) s += __shfl_xor_sync(FAULT == 4 ? 0xfffffffeu : 0xffffffffu, s, bits);
  b[threadIdx.x] = s;
}

// Each lane gets that of the lane before and behind it; the first and the last keep their own
extern "C" __global__ void neighbours(const int* a, int* up, int* down) {
  up[threadIdx.x] = __shfl_up_sync(0xffffffffu, a[threadIdx.x], 1);
  down[threadIdx.x] = __shfl_down_sync(0xffffffffu, a[threadIdx.x], 1);
  __syncwarp();
}

// One number for every block, which all of them wait for, and then read.  5: no wait
extern "C" __global__ void in_turn(volatile int* arrived, int* given, int* sum) {
  given[blockIdx.x] = blockIdx.x + 1;
  *arrived = *arrived + 1;
  while (FAULT != 5 && *arrived < (int)gridDim.x) shim::spin();
  sum[blockIdx.x] = 0;
  for (unsigned i = 0; i < gridDim.x; i++) sum[blockIdx.x] += given[i];
}

// A cluster: each block sends its number to the shared memory of the next, which has a barrier of bytes before it.
// 6: it is read at once; 10: before the next has begun; 11: too many bytes are expected; 12: while the next may have
// ended; 13: the barrier is not open; 14: announced twice; 15: opened twice; 16: the barrier is written over; 17: past
// the end; 18: not aligned; 19: too many bytes to count; 20: none waits
extern "C" __global__ void around(int* got) {
  unsigned char* mine = shared_memory();
  if (FAULT != 13) shim::open(mine);
  if (FAULT == 15) shim::open(mine);
  if (FAULT != 10) shim::group_barrier(__LINE__);
  if (FAULT == 12 && blockIdx.x % 2) return;
  const int number = blockIdx.x;
  shim::announce(mine, FAULT == 19 ? 1 << 20 : FAULT == 11 ? 8 : 4);
  if (FAULT == 14) shim::announce(mine, 4);
  shim::store_async(mine + 8 + 4 * (FAULT == 17) + 2 * (FAULT == 18), (shim::rank() + 1) % 2, &number, 4, mine);
  if (FAULT == 16) mine[7] = 0;
  if (FAULT != 6 && FAULT != 20) shim::wait_for_phase(mine, 0);
  if (FAULT != 20) got[blockIdx.x] = *reinterpret_cast<int*>(mine + 8);
}

// A block whose first thread sends itself three numbers, while the second waits for the first of them.  21: it is late
extern "C" __global__ void phases(int* got) {
  unsigned char* mine = shared_memory();
  if (threadIdx.x == 0) shim::open(mine);
  __syncthreads();
  for (int i = 0; i < 3; i++) {
    if (threadIdx.x == 0) {
      shim::announce(mine, 4);
      shim::store_async(mine + 8, 0, &i, 4, mine);
    }
    if (threadIdx.x == 0 || i == 0) shim::wait_for_phase(mine, i % 2);
    if (FAULT != 21) __syncthreads();
    if (threadIdx.x == 1 && i == 0) *got = *reinterpret_cast<int*>(mine + 8);
    if (FAULT != 21) __syncthreads();
  }
}

// 7: half of the threads at one barrier, half at another; 8: half of them leave; 9: writes past what it asked for
extern "C" __global__ void barriers(int* b) {
  unsigned char* mine = shared_memory();
  if (FAULT == 9) mine[16] = 1;
  if (FAULT == 8 && threadIdx.x % 2) return;
  if (FAULT == 7 && threadIdx.x % 2) __syncthreads();
  else __syncthreads();
  b[threadIdx.x] = mine[0];
}
