"""Things that are dear to make, lent to one user at a time and taken back when he has gone.  (floor 5)"""
from threading import RLock
from weakref import finalize


class Pool:
    """What is idle, at most so many: the one that has lain there longest goes first.  What is lent is not counted."""

    def __init__(self, most):
        self.most, self.idle, self.lock = most, [], RLock()

    def lend(self, key, make):
        """An idle thing with this key, or a new one."""
        with self.lock:
            for thing in reversed(tuple(self.idle)):
                # taken back while we look, in this very thread, another may have pushed it out
                if thing.key == key and thing in self.idle:
                    self.idle.remove(thing)
                    return thing
        return make(key)

    def reclaim_after(self, user, thing):
        """Take it back when nobody holds `user` any more.  The thing is not to know its user."""
        finalize(user, self.take_back, thing).atexit = False

    def take_back(self, thing):
        with self.lock:
            self.idle.append(thing)
            del self.idle[:max(0, len(self.idle) - self.most)]

    def clear(self):
        with self.lock:
            self.idle.clear()
