"""A model of the exchange by bytes (exchange.cuh): blocks of threads, stores under way, and barriers that count bytes.

Threads run in a random order and a store arrives at any time after it was sent, so what no CPU shows of the real text
is tried here: that no store meets a buffer which is still being read, and that everybody ends.
"""
import random
from typing import NamedTuple


class Fault(Exception):
    """What a wrong protocol does, in words."""


class Protocol(NamedTuple):
    """Ahead: a block reads h of all units, then sends its own to all.  Back: it reads the gradients of its gates, which
    it writes anew each step, and sends each block its part."""
    back: bool = False
    units: int = 33
    unit_of_block: int = 4
    blocks: int = 16
    threads: int = 2
    steps: int = 5
    # what can be wrong
    leaves: bool = True                           # a block without units leaves and is sent nothing
    waits: bool = True
    buffers: int = 2
    barriers: int = 2
    bytes_off: int = 0
    syncs: bool = True                            # back: all threads have read the gates before they are written again

    @property
    def taking_part(self):
        return -(-self.units // self.unit_of_block) if self.leaves else self.blocks

    def units_in(self, block):
        return max(0, min(self.unit_of_block, self.units - block * self.unit_of_block))


class Barrier:
    """mbarrier with one arrival: its phase ends when that has come and no byte is outstanding."""

    def __init__(self):
        self.phase, self.arrived, self.outstanding = 0, False, 0

    def change(self, count):
        self.outstanding += count
        if self.arrived and not self.outstanding:
            self.phase, self.arrived = self.phase + 1, False

    def expect(self, count):
        self.arrived = True
        self.change(count)


class Block:
    def __init__(self, how):
        self.barriers = [Barrier() for _ in range(how.barriers)]
        self.reading = [{} for _ in range(how.buffers)]              # buffer -> {thread: the step that it reads of}
        self.step_of = [dict() for _ in range(how.buffers)]          # buffer -> {sender: the step that it holds of him}
        self.gates, self.left, self.met = -1, False, [0, 0]      # met: threads at a barrier of the block, its turn


class Model:
    def __init__(self, how, seed):
        self.how, self.random = how, random.Random(seed)
        self.blocks = [Block(how) for _ in range(how.blocks)]
        self.flying = []                          # (block, buffer, barrier, sender, step, bytes)

    def run(self):
        """Raise Fault if something goes wrong in this order."""
        every = [(b, t) for b in range(self.how.blocks) for t in range(self.how.threads)]
        threads = [self.thread(*one) for one in every]
        behind = self.slow(every)
        slow = {one for one, where in zip(threads, every) if where in behind}
        waiting = 0                               # turns in which nothing happened
        while threads or self.flying:
            if self.flying and (not threads or self.random.random() < 0.3):
                self.arrive(self.flying.pop(self.random.randrange(len(self.flying))))
                waiting = 0
                continue
            one = self.random.choice(threads)
            if one in slow and self.random.random() < 0.95:
                continue
            moved = next(one, "ended")
            if moved == "ended":
                threads.remove(one)
            waiting = 0 if moved else waiting + 1
            if waiting > 200 * len(threads) and not self.flying:
                raise Fault(f"{len(threads)} threads wait without end")

    def slow(self, every):
        """Threads that are far behind: of one block, one of these, or none."""
        kind, behind = self.random.randrange(3), self.random.choice(every)
        return {one for one in every if one == behind or kind == 1 and one[0] == behind[0]} if kind else ()

    def arrive(self, store):
        block, buffer, barrier, sender, step, count = store
        block = self.blocks[block]
        if block.left:
            raise Fault("a store into a block that has left")
        if any(seen != step + 1 for seen in block.reading[buffer].values()):
            raise Fault("a store into a buffer that is being read")
        block.step_of[buffer][sender] = step
        block.barriers[barrier].change(-count)

    def thread(self, b, t):
        """One thread of a block: yields True after each thing it does, False when it has to wait."""
        how, block = self.how, self.blocks[b]
        if how.leaves and b >= how.taking_part:
            block.left = True
            return
        for step in range(how.steps):
            yield from (self.back if how.back else self.ahead)(b, t, step)
            if how.waits:
                barrier, phase = block.barriers[step % how.barriers], step // how.barriers
                while barrier.phase % 2 == phase % 2:                # try_wait.parity
                    yield False
        if t == 0:
            block.left = True                     # the others may be behind, but a block leaves as one
            yield True

    def ahead(self, b, t, step):
        yield from self.read(b, t, step)
        yield from self.meet(self.blocks[b])
        self.expect(b, t, step, sum(map(self.how.units_in, range(self.how.blocks))))
        for to in range(self.how.taking_part):
            yield self.send(b, t, to, step, self.how.units_in(b))

    def back(self, b, t, step):
        block = self.blocks[b]
        yield from self.read(b, t, step)
        if block.gates not in (step - 1, step):
            raise Fault("gates of another step")
        block.gates = step
        yield from self.meet(block)
        self.expect(b, t, step, self.how.taking_part * self.how.units_in(b))
        for to in range(self.how.taking_part):
            if block.gates != step:
                raise Fault("the gates were written again before all had read them")
            yield self.send(b, t, to, step, self.how.units_in(to))
        if self.how.syncs:
            yield from self.meet(block)

    def read(self, b, t, step):
        """What was sent in the step before, piece by piece."""
        block, buffer = self.blocks[b], step % self.how.buffers
        block.reading[buffer][t] = step
        for sender in range(self.how.taking_part if step else 0):
            sends = self.how.units_in(b if self.how.back else sender)
            if sends and block.step_of[buffer].get((sender, t)) != step - 1:
                raise Fault("read before it had come")
            yield True
        del block.reading[buffer][t]

    def expect(self, b, t, step, count):
        if t == 0:
            self.blocks[b].barriers[step % self.how.barriers].expect(count * self.how.threads + self.how.bytes_off)

    def send(self, b, t, to, step, count):
        if count:
            self.flying.append((to, (step + 1) % self.how.buffers, step % self.how.barriers, (b, t), step, count))
        return True

    def meet(self, block):
        """A barrier of the block."""
        block.met[0] += 1
        turn = block.met[1]
        if block.met[0] == self.how.threads:
            block.met = [0, turn + 1]
        while block.met[1] == turn:
            yield False
        yield True


def seen(how, orders=40):
    """The first fault that some order of threads and stores shows, in words; "" if none does."""
    for seed in range(orders):
        try:
            Model(how, seed).run()
        except Fault as e:
            return str(e)
    return ""
