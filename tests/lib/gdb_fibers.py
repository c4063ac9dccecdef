"""gdb commands for fibers; on a live process or a core file, on x86_64 and aarch64:

    (gdb) source tests/lib/gdb_fibers.py
    (gdb) fibers              every fiber of every scheduler: id, state, name, what it is doing
    (gdb) fiber-bt ID         where that one stands

No register is changed: an unwinder of ours tells gdb that the innermost frame was called from where the fiber stands, which
also works where there is no process whose registers one could set.
"""

import gdb
from gdb.unwinder import Unwinder, register_unwinder

FIBER_MAGIC, LINE, COLOURS = 0x46494252, 64, 12
STATES = ("unused", "ready", "running", "parked")
# where context_switch() leaves the registers, by offset from the saved stack pointer; then the size of all that
LAYOUTS = {
    "i386:x86-64": ({"r15": 0, "r14": 8, "r13": 16, "r12": 24, "rbx": 32, "rbp": 40, "rip": 48}, 56, "rsp", "rip"),
    "aarch64": (dict([("x%d" % (19 + i), 8 * i) for i in range(11)], pc=88), 160, "sp", "pc"),
}


def word(address):
    memory = gdb.selected_inferior().read_memory(address, 8)
    return int.from_bytes(memory.tobytes(), "little")


class FiberUnwinder(Unwinder):
    def __init__(self):
        super().__init__("weir-fiber")
        self.sp = self.top = None

    def __call__(self, pending):
        if self.sp is None:
            return None
        offsets, size, sp_name, pc_name = LAYOUTS[pending.architecture().name()]
        sp, pc = pending.read_register(sp_name), pending.read_register(pc_name)
        if int(sp) != self.top:
            return None  # only the innermost frame is ours
        info = pending.create_unwind_info(FrameId(sp, pc))
        unsigned_long = gdb.lookup_type("unsigned long")
        for name, offset in offsets.items():
            info.add_saved_register(name, gdb.Value(word(self.sp + offset)).cast(unsigned_long))
        info.add_saved_register(sp_name, gdb.Value(self.sp + size).cast(unsigned_long))
        return info


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


unwinder = FiberUnwinder()
register_unwinder(None, unwinder, replace=True)


def schedulers():
    """(thread, struct sched) of each thread that has one."""
    chosen = gdb.selected_thread()
    try:
        for thread in gdb.selected_inferior().threads():
            thread.switch()
            sched = gdb.parse_and_eval("sched_of_thread")
            if int(sched) != 0:
                yield thread, sched.dereference()
    finally:
        chosen.switch()


def fiber_at(stack, fiber_type, stack_size):
    for colour in range(COLOURS):
        address = (stack + stack_size - colour * LINE - fiber_type.sizeof) & ~(LINE - 1)
        fiber = gdb.Value(address).cast(fiber_type.pointer())
        if int(fiber["magic"]) == FIBER_MAGIC and int(fiber["stack"]) == stack:
            return fiber
    return None


def fibers():
    fiber_type = gdb.lookup_type("struct fiber")
    for thread, sched in schedulers():
        slab = sched["stacks"]["slabs"]
        while int(slab) != 0:
            base, used = int(slab["base"]), int(slab["used"])
            for size in (65536, 262144):  # the second with a sanitizer
                found = [fiber_at(base + i * size, fiber_type, size) for i in range(used)]
                if any(f is not None for f in found):
                    break
            for fiber in found:
                if fiber is not None and int(fiber["state"]) != 0:
                    yield thread, sched, fiber
            slab = slab["next"]


def text(value):
    return value.string() if int(value) != 0 else "-"


class Fibers(gdb.Command):
    """Lists the fibers of all schedulers."""

    def __init__(self):
        super().__init__("fibers", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        for _, sched, f in fibers():
            print("%6d %-8s %-10s %-16s %s" % (int(f["id"]), STATES[int(f["state"])], text(sched["name"]), text(f["name"]), text(f["doing"])))


class FiberBacktrace(gdb.Command):
    """Shows where a fiber stands: fiber-bt ID [SCHEDULER]."""

    def __init__(self):
        super().__init__("fiber-bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        wanted = argument.split()
        if not wanted:
            raise gdb.GdbError("fiber-bt ID [SCHEDULER]: see `fibers`")
        found = False
        for thread, sched, fiber in list(fibers()):
            if int(fiber["id"]) == int(wanted[0]) and (len(wanted) < 2 or text(sched["name"]) == wanted[1]):
                found = True
                print("fiber %s '%s' of scheduler %s: %s" % (wanted[0], text(fiber["name"]), text(sched["name"]), text(fiber["doing"])))
                self.show(thread, fiber)
        if not found:
            raise gdb.GdbError("no such fiber")

    def show(self, thread, fiber):
        chosen = gdb.selected_thread()
        thread.switch()
        try:
            if STATES[int(fiber["state"])] == "running":
                gdb.execute("backtrace")
                return
            gdb.newest_frame().select()
            _, _, sp_name, _ = LAYOUTS[gdb.newest_frame().architecture().name()]
            unwinder.top = int(gdb.parse_and_eval("(unsigned long)$" + sp_name))
            unwinder.sp = int(fiber["sp"])
            gdb.invalidate_cached_frames()
            self.frames(gdb.newest_frame().older())
        finally:
            unwinder.sp = None
            gdb.invalidate_cached_frames()
            chosen.switch()

    def frames(self, frame):
        level = 0
        while frame is not None and frame.is_valid() and level < 200:
            place = frame.find_sal()
            where = " at %s:%d" % (place.symtab.filename, place.line) if place.symtab is not None else ""
            print("#%-3d 0x%016x in %s%s" % (level, frame.pc(), frame.name() or "??", where))
            frame = frame.older()
            level += 1


Fibers()
FiberBacktrace()
