/*
 * sync.h - mutex, condition, semaphore, wait group and once among fibers, also of different workers.
 *
 * Each is for what may be held over a yield; the request path has none of it.  Who waits is served first come, first served.
 * Threads: any fiber of any scheduler.  Memory: values; zeroed is valid (but for the semaphore's count); they must outlive
 * those who wait.
 */
#ifndef FIBER_SYNC_H
#define FIBER_SYNC_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct waiter; /* private: wait_queue.h */
struct wait_queue {
    struct waiter *first, *last;
};
struct sync_queue { /* private: a spin lock and those who wait */
    _Atomic int lock;
    struct wait_queue waiters;
};

struct fiber_mutex {
    struct sync_queue q;
    bool held;
};
int fiber_mutex_lock(struct fiber_mutex *m, int64_t deadline); /* 0, -ERR_TIMEOUT, -ERR_CANCELED: then it isn't held */
bool fiber_mutex_try(struct fiber_mutex *m);
void fiber_mutex_unlock(struct fiber_mutex *m);

struct fiber_cond {
    struct sync_queue q;
};
/* Gives the mutex back while waiting; holds it again on every return, whatever the code. */
int fiber_cond_wait(struct fiber_cond *c, struct fiber_mutex *m, int64_t deadline);
void fiber_cond_signal(struct fiber_cond *c);
void fiber_cond_broadcast(struct fiber_cond *c);

struct fiber_sem {
    struct sync_queue q;
    uint32_t count;
};
void fiber_sem_init(struct fiber_sem *s, uint32_t count);
int fiber_sem_take(struct fiber_sem *s, int64_t deadline);
void fiber_sem_give(struct fiber_sem *s);

struct wait_group {
    struct sync_queue q;
    int32_t count;
};
void wait_group_add(struct wait_group *w, int32_t n); /* the count must never go below 0 */
void wait_group_done(struct wait_group *w);
int wait_group_wait(struct wait_group *w, int64_t deadline); /* until the count is 0 */

struct fiber_once {
    struct fiber_mutex m;
    _Atomic bool done;
};
/* Runs fn(arg) exactly once; all callers return after it has run. */
int fiber_once(struct fiber_once *o, void (*fn)(void *), void *arg, int64_t deadline);
#endif
