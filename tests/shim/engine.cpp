// What runs CUDA threads on a CPU, one fiber each: see cuda_host_shim.h.
#include "cuda_host_shim.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace shim {

enum Order { FIFO, LIFO, RANDOM };
const size_t STACK = 128 << 10, GUARD = 64;
const uint64_t PATIENCE = 2000000;                // turns of spin() in which nothing else happens

Thread* now;
dim3 block_size, grid_size;

struct Fiber;
struct Barrier {                                  // of a block, a warp or a group
  int members = 0, arrived = 0, returned = 0, line = 0;
  unsigned mask = 0;
  std::vector<Fiber*> waiting;
};
struct ByteBarrier {                              // as it lies in shared memory; its phase ends when bytes is 0
  int bytes;                                      // announced and not here yet; less than 0: here and not announced yet
  uint16_t phase;
  uint8_t announced, open;                        // in this phase; OPEN
};
const uint8_t OPEN = 0x5a;
const int MOST_BYTES = (1 << 20) - 1;             // that an mbarrier counts
struct Warp : Barrier { uint64_t given[2][32]; int turn = 0; };
struct Block : Barrier {
  uint3 index;
  unsigned rank;
  int begun = 0;
  std::vector<Warp> warps;
  std::unique_ptr<unsigned char[]> shared;
};
struct Fiber : Thread {
  ucontext_t context;
  jmp_buf jump;
  char* stack;
  bool fresh = true, done;
  Block* in;
  Warp* warp;
#ifdef __SANITIZE_ADDRESS__
  void* fake = nullptr;
#endif
};

struct Store {                                    // on its way
  Block* to;
  size_t at, size;
  uint64_t number;
  void* barrier;                                  // that of the block to which it goes
};

struct Launch {
  void (*body)(void**);
  void** args;
  Order order;
  uint64_t random, spins;
  size_t shared;
  std::vector<std::unique_ptr<Block>> group;
  Barrier all;                                    // of the group
  std::deque<Fiber*> ready;
  std::vector<Store> flying;                      // the last that was sent behind
  std::map<void*, std::vector<Fiber*>> waiting;   // for a phase of a ByteBarrier
  std::string error;
} the;
Fiber* running;
ucontext_t scheduler;
jmp_buf schedule;
std::vector<Fiber*> idle, made;
#ifdef __SANITIZE_ADDRESS__
const void* bottom;
size_t depth;
void* own_fake;
#define LEAVE(fake, stack, size) __sanitizer_start_switch_fiber(fake, stack, size)
#define ENTER(fake, stack, size) __sanitizer_finish_switch_fiber(fake, stack, size)
#else
#define LEAVE(fake, stack, size)
#define ENTER(fake, stack, size)
#endif
// swapcontext asks the system for its mask of signals, twice, and takes ten times as long as a jump.  The sanitizer
// knows nothing of jumps between stacks.
#ifdef __SANITIZE_ADDRESS__
#define BEGIN(from, swap) swap
#define SWITCH(from, to, swap) swap
#else
#define BEGIN(from, swap) do { if (!_setjmp(from)) swap; } while (0)
#define SWITCH(from, to, swap) do { if (!_setjmp(from)) _longjmp(to, 1); } while (0)
#endif

uint64_t draw() {                                 // xorshift
  the.random ^= the.random << 13;
  the.random ^= the.random >> 7;
  return the.random ^= the.random << 17;
}

// ---- changing places ----

void to_scheduler() {
  Fiber* f = running;
  LEAVE(&f->fake, bottom, depth);
  SWITCH(f->jump, schedule, swapcontext(&f->context, &scheduler));
  ENTER(f->fake, &bottom, &depth);
}
void fail(const std::string& why) {               // the launch is given up, this fiber with it
  if (the.error.empty()) the.error = why;
  to_scheduler();
}
void life() {                                     // of a fiber: one CUDA thread after another
  ENTER(nullptr, &bottom, &depth);
  for (;;) {
    the.body(the.args);
    running->done = true;
    to_scheduler();
  }
}
void resume(Fiber* f) {
  running = f;
  now = f;
  LEAVE(&own_fake, f->stack, STACK);
  const bool fresh = f->fresh;
  if (fresh) {
    f->fresh = false;
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = STACK;
    f->context.uc_link = nullptr;
    makecontext(&f->context, life, 0);
  }
  if (fresh) BEGIN(schedule, swapcontext(&scheduler, &f->context));
  else SWITCH(schedule, f->jump, swapcontext(&scheduler, &f->context));
  ENTER(own_fake, nullptr, nullptr);
}
Fiber* fiber() {
  if (idle.empty()) {
    Fiber* f = new Fiber();
    void* stack = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED) { std::fputs("shim: no memory for the stack of a thread\n", stderr); std::abort(); }
    f->stack = static_cast<char*>(stack);
    made.push_back(f);
    return f;
  }
  Fiber* f = idle.back();
  idle.pop_back();
  return f;
}
Fiber* next() {
  auto& q = the.ready;
  const size_t at = the.order == FIFO ? 0 : the.order == LIFO ? q.size() - 1 : draw() % q.size();
  Fiber* f = q[at];
  q.erase(q.begin() + at);
  return f;
}

// ---- barriers ----

std::string at(int line) { return " (line " + std::to_string(line) + ")"; }

void wait(Barrier& b, int members, const char* what, int line, unsigned mask = 0) {
  if (b.returned) fail(std::string(what) + at(line) + ": a thread of it has returned already");
  if (b.arrived && (b.line != line || b.mask != mask))
    fail(std::string(what) + ": its threads wait at lines " + std::to_string(b.line) + " and " +
         std::to_string(line));
  b.line = line;
  b.mask = mask;
  b.waiting.push_back(running);
  if (++b.arrived == members) {
    b.arrived = 0;
    the.ready.insert(the.ready.end(), b.waiting.begin(), b.waiting.end());
    b.waiting.clear();
  }
  to_scheduler();
}
void barrier(int line) { wait(*running->in, running->in->members, "__syncthreads", line); }
void group_barrier(int line) { wait(the.all, the.all.members, "the barrier of a group of blocks", line); }

const uint64_t* exchange(unsigned mask, int line, uint64_t mine) {
  Warp& w = *running->warp;
  const unsigned present = w.members == 32 ? ~0u : (1u << w.members) - 1;
  if (!(mask >> running->lane & 1)) fail("an exchange in a warp" + at(line) + ": the calling lane is not in the mask");
  if (!w.arrived) w.turn ^= 1;                    // the last exchange may still be read
  const int turn = w.turn;
  w.given[turn][running->lane] = mine;
  wait(w, __builtin_popcount(mask & present), "an exchange in a warp", line, mask);
  return w.given[turn];
}
void spin() {
  if (++the.spins > PATIENCE) fail("waiting without end for what no thread writes: are all blocks there at once?");
  the.ready.push_front(running);                  // behind all others, whatever the order
  if (the.order == FIFO) std::rotate(the.ready.begin(), the.ready.begin() + 1, the.ready.end());
  to_scheduler();
}
unsigned char* shared(unsigned block) {
  if (block >= the.group.size()) fail("there is no block " + std::to_string(block) + " in this cluster");
  Block& b = *the.group[block];
  if (!b.begun) fail("the shared memory of a block that has not begun");
  if (b.returned == b.members) fail("the shared memory of a block that has ended");
  return b.shared.get();
}
unsigned rank() { return running->in->rank; }

// ---- bytes: mbarrier and st.async ----

// What is wrong with a barrier, or null
const char* wrong_with(void* barrier) {
  const ByteBarrier& b = *static_cast<ByteBarrier*>(barrier);
  return b.open != OPEN || b.announced > 1 ? "a barrier of bytes is not open, or was written over" : nullptr;
}
ByteBarrier& opened(void* barrier) {
  if (const char* why = wrong_with(barrier)) fail(why);
  return *static_cast<ByteBarrier*>(barrier);
}
void count(ByteBarrier& b, int bytes) {
  b.bytes += bytes;
  if (std::abs(b.bytes) > MOST_BYTES && the.error.empty()) the.error = "more bytes than a barrier can count";
  if (!b.announced || b.bytes) return;
  b.announced = 0;
  b.phase++;
  auto& waiting = the.waiting[&b];
  the.ready.insert(the.ready.end(), waiting.begin(), waiting.end());
  waiting.clear();
}
void open(void* barrier) {
  if (static_cast<ByteBarrier*>(barrier)->open == OPEN) fail("a barrier of bytes is opened twice");
  *static_cast<ByteBarrier*>(barrier) = {0, 0, 0, OPEN};
}
void announce(void* barrier, int bytes) {
  ByteBarrier& b = opened(barrier);
  if (b.announced) fail("bytes are announced twice in one phase of a barrier");
  b.announced = 1;
  count(b, bytes);
}
void wait_for_phase(void* barrier, int parity) {
  the.ready.push_back(running);                   // others may go on before
  to_scheduler();
  const uint16_t first = opened(barrier).phase;
  while (opened(barrier).phase % 2 == parity) {
    the.waiting[barrier].push_back(running);
    to_scheduler();
    if (uint16_t(opened(barrier).phase - first) > 1) fail("a barrier of bytes went two phases on while a thread waited");
  }
}
void store_async(void* mine, unsigned block, const void* number, size_t size, void* barrier) {
  unsigned char *own = shared(rank()), *its = shared(block);
  const size_t at = static_cast<unsigned char*>(mine) - own;
  if (at % size) fail("an asynchronous store is not aligned");
  if (at + size > the.shared) fail("shared memory was written past its end");
  Store s = {the.group[block].get(), at, size, 0, static_cast<unsigned char*>(barrier) - own + its};
  std::memcpy(&s.number, number, size);
  the.flying.push_back(s);
}
void land(const Store& s) {
  const char* why = s.to->returned == s.to->members ? "a store into the shared memory of a block that has ended"
                    : wrong_with(s.barrier);
  if (why && the.error.empty()) the.error = why;
  if (why) return;
  std::memcpy(s.to->shared.get() + s.at, &s.number, s.size);
  count(*static_cast<ByteBarrier*>(s.barrier), -int(s.size));
}
// Some of the stores that are on their way, one at least if nothing else can go on.  FIFO: no other; LIFO: all.
void land_some(bool idle) {
  auto& all = the.flying;
  if (all.empty()) return;
  size_t some = the.order == LIFO ? all.size() : idle;
  if (the.order == RANDOM && draw() % 4 == 0) some = std::max(some, draw() % (all.size() + 1));
  for (; some; some--) {
    if (the.order == RANDOM) std::swap(all.back(), all[draw() % all.size()]);
    land(all.back());
    all.pop_back();
  }
}

// ---- a launch ----

struct Job { Block* in; int thread; };

void begin(Fiber* f, const Job& job) {
  const unsigned t = job.thread, x = block_size.x, y = block_size.y;
  f->thread = {t % x, t / x % y, t / (x * y)};
  f->block = job.in->index;
  f->lane = t % 32;
  f->in = job.in;
  f->warp = &job.in->warps[t / 32];
  f->done = false;
  job.in->begun++;
}
void end(Fiber* f) {
  for (Barrier* b : {static_cast<Barrier*>(f->in), &the.all}) {        // a warp goes on without those not in its mask
    b->returned++;
    if (b->arrived && the.error.empty()) the.error = "a thread returned while others wait for it" + at(b->line);
  }
  idle.push_back(f);
}
void run_group() {
  std::vector<Job> jobs;
  for (auto& b : the.group)
    for (int t = 0; t < b->members; t++) jobs.push_back({b.get(), t});
  if (the.order == LIFO) std::reverse(jobs.begin(), jobs.end());
  if (the.order == RANDOM)
    for (size_t i = jobs.size(); i > 1; i--) std::swap(jobs[i - 1], jobs[draw() % i]);
  size_t started = 0, ended = 0;
  while (ended < jobs.size() && the.error.empty()) {
    const bool all_started = started == jobs.size();
    do land_some(all_started && the.ready.empty());
    while (all_started && the.ready.empty() && !the.flying.empty() && the.error.empty());
    if (!the.error.empty()) break;
    Fiber* f;
    const bool fresh = started < jobs.size() && (the.ready.empty() || the.order != RANDOM || draw() & 1);
    if (fresh) begin(f = fiber(), jobs[started++]);
    else if (!the.ready.empty()) f = next();
    else {
      the.error = std::to_string(jobs.size() - ended) + " threads wait for each other, or for bytes that are not sent";
      break;
    }
    resume(f);
    if (f->done && the.error.empty()) { end(f); ended++; the.spins = 0; }
  }
  if (!the.flying.empty() && the.error.empty()) the.error = "stores are on their way to blocks that have ended";
  the.ready.clear();
  the.flying.clear();
  the.waiting.clear();
  if (the.error.empty()) return;
  for (Fiber* f : made) { munmap(f->stack, STACK); delete f; }        // some stopped half way
  made.clear();
  idle.clear();
}
void add_block(size_t i, int threads) {
  auto b = std::make_unique<Block>();
  const unsigned x = grid_size.x, y = grid_size.y;
  b->index = {unsigned(i % x), unsigned(i / x % y), unsigned(i / x / y)};
  b->rank = the.group.size();
  b->members = threads;
  b->warps.resize((threads + 31) / 32);
  for (size_t w = 0; w < b->warps.size(); w++) b->warps[w].members = std::min(32, threads - 32 * int(w));
  b->shared.reset(new unsigned char[the.shared + GUARD]);
  std::memset(b->shared.get(), 0xff, the.shared);                     // NaN in every type
  std::memset(b->shared.get() + the.shared, 0xa5, GUARD);
  the.all.members += threads;
  the.group.push_back(std::move(b));
}
void look_past_shared() {
  for (auto& b : the.group)
    for (size_t i = 0; i < GUARD; i++)
      if (b->shared[the.shared + i] != 0xa5 && the.error.empty()) the.error = "shared memory was written past its end";
}

}  // namespace shim

// together: how many blocks, one after another, are on the card at the same time
extern "C" const char* shim_launch(void (*body)(void**), const unsigned* grid, const unsigned* block, size_t shared,
                                   void** args, size_t together, int order, uint64_t seed) {
  using namespace shim;
  grid_size = {grid[0], grid[1], grid[2]};
  block_size = {block[0], block[1], block[2]};
  const size_t blocks = size_t(grid[0]) * grid[1] * grid[2];
  the.body = body;
  the.args = args;
  the.order = Order(order);
  the.random = seed * 2654435761u + 88172645463325252u;
  the.spins = 0;
  the.shared = shared;
  the.error.clear();
  for (size_t first = 0; first < blocks && the.error.empty(); first += together) {
    the.all = Barrier();
    for (size_t i = first; i < std::min(blocks, first + together); i++) add_block(i, block[0] * block[1] * block[2]);
    run_group();
    look_past_shared();
    the.group.clear();
  }
  return the.error.empty() ? nullptr : the.error.c_str();
}
