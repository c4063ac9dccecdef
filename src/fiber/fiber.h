/*
 * fiber.h - green threads: straight-line code, thousands at once, on a worker's own thread.
 *
 * A fiber stays on the worker that started it.  What idle workers take from busy ones is work that has not started
 * (fiber_go_anywhere).  A function that may yield takes an absolute `deadline` (microseconds of the monotonic clock,
 * CLOCK_NEVER for none) as its last parameter; one that doesn't, doesn't yield.
 *
 * Codes: 0 or a count is good; -ERR_TIMEOUT the deadline passed; -ERR_CANCELED somebody called the fiber off.  A fiber that
 * was called off gets -ERR_CANCELED from every call that would wait, until fiber_shield(true) lets it say goodbye.
 *
 * Threads: all calls are made on a thread that runs a scheduler (sched.h); those marked "from a fiber" inside a fiber.
 *     Nothing here is called from another thread: mailbox.h is for that; channels and the things of sync.h are shared.
 * Memory: a fiber's stack is 64 KiB of address space, of which the touched pages count (one, for shallow code).
 */
#ifndef FIBER_FIBER_H
#define FIBER_FIBER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"

struct fiber;
struct group;
typedef void fiber_fn(void *arg);

/* Starts fn(arg) on this worker; it runs when the caller next yields.  `name` is a static string.  `g` (may be NULL) is the
 * group it belongs to.  -ERR_NOMEM. */
int fiber_go(struct group *g, const char *name, fiber_fn *fn, void *arg);
/* The same, but an idle worker may take it before it has started.  Once it has started it stays. */
int fiber_go_anywhere(const char *name, fiber_fn *fn, void *arg);

/* The running fiber; NULL on the scheduler's own stack. */
struct fiber *fiber_self(void);
/* The time of this turn of the loop: cheap, at most some milliseconds old. */
int64_t fiber_now(void);

/* From a fiber. */
void fiber_yield(void); /* goes to the end of the queue; never fails, not a place where cancelling shows */
int fiber_sleep(int64_t until);

/* Calls a fiber off: what it waits for now, and each wait after that, returns -ERR_CANCELED.  `cause` is a positive code of
 * err.h that fiber_cause() hands to whoever cleans up.  The first cause stays.  Same worker only. */
void fiber_cancel(struct fiber *f, int cause);
int fiber_cause(void); /* of the running fiber: 0 while nobody called it off */
/* While on, a cancelled fiber may wait again (bound it by a deadline of its own).  Returns what it was. */
bool fiber_shield(bool on);

/* What the fiber is doing, for those who look at it (a static string).  Costs two stores. */
void fiber_doing(const char *what);

/* Runs fn(arg) on the thread's own, large stack and returns when it has: for libraries that need more than a fiber's
 * stack.  The whole worker waits.  From a fiber. */
void fiber_on_thread_stack(void (*fn)(void *), void *arg);

/*
 * The building stone of everything that waits.  fiber_park() gives up the CPU until fiber_wake() or the deadline.
 * `claim` (NULL for waits that only this worker can end) decides between several who want to end the same wait: whoever
 * changes it from 0 owns the wake-up; a deadline and a cancel claim with CLAIM_EXPIRED.
 * Returns the waker's result, -ERR_TIMEOUT or -ERR_CANCELED.
 */
#define CLAIM_EXPIRED (-1)
int fiber_park(_Atomic int *claim, int64_t deadline);
/* Makes a parked fiber ready.  With `claim`: from any thread, by whoever claimed it; without: on the fiber's own worker. */
void fiber_wake(struct fiber *f, int result);

/* Children that end with their parent: whoever makes a group joins it before leaving the scope it stands in. */
struct group {
    struct list fibers;
    struct fiber *joiner;
    int cause; /* 0: not called off */
};
void group_init(struct group *g);
/* Calls all its fibers off, those started later too. */
void group_cancel(struct group *g, int cause);
/* Waits for all.  -ERR_TIMEOUT leaves them running.  When the caller is called off, so are they, and they are still waited
 * for: no child outlives its parent.  One joiner at a time. */
int group_join(struct group *g, int64_t deadline);

/* For listings: what every fiber of this worker is doing. */
struct fiber_info {
    uint64_t id;
    const char *name, *doing;
    int64_t since;     /* when it began that */
    int64_t deadline;  /* of its wait, CLOCK_NEVER if none */
    bool waiting;
    const void *subject; /* what fiber_about() said */
    size_t stack_used;
};
void fiber_each(void (*fn)(const struct fiber_info *info, void *arg), void *arg);
/* What the fiber is working for, so that a listing can tell (a connection, say). */
void fiber_about(const void *subject);
#endif
