/* fiber_test.c - schedulers for tests. */
#include "tests/lib/fiber_test.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS_MOST = 16 };

static struct {
    fiber_fn *fn;
    void *arg;
    int n;
    _Atomic int running;
    pthread_barrier_t barrier;
    struct sched *sched[THREADS_MOST];
} run;

static _Thread_local int thread_index;

int fiber_test_thread(void) { return thread_index; }
struct sched *fiber_test_sched(int thread) { return run.sched[thread]; }

uint32_t fiber_test_alive(void)
{
    struct sched_stats stats;

    sched_stats_get(sched_self(), &stats);
    return stats.fibers;
}

static void body(void *arg)
{
    (void)arg;
    run.fn(run.arg);
    if (atomic_fetch_sub(&run.running, 1) > 1)
        return;
    for (int i = 0; i < run.n; i++)
        sched_stop(run.sched[i]);
}

static void *thread_main(void *arg)
{
    struct sched *s;
    struct sched_stats stats;

    thread_index = (int)(intptr_t)arg;
    s = sched_open("test", run.n > 1);
    ck_assert_ptr_nonnull(s);
    run.sched[thread_index] = s;
    pthread_barrier_wait(&run.barrier); /* all can be seen from here on */
    ck_assert_int_eq(fiber_go(NULL, "test", body, NULL), 0);
    sched_run(s);
    sched_stats_get(s, &stats);
    ck_assert_msg(stats.fibers == 0, "%u fibers are left", stats.fibers);
    pthread_barrier_wait(&run.barrier); /* nobody writes to it any more */
    sched_close(&s);
    ck_assert_ptr_null(s);
    return NULL;
}

static void prepare(int n, fiber_fn *fn, void *arg)
{
    ck_assert_int_le(n, THREADS_MOST);
    run.fn = fn;
    run.arg = arg;
    run.n = n;
    atomic_store(&run.running, n);
    ck_assert_int_eq(pthread_barrier_init(&run.barrier, NULL, (unsigned)n), 0);
}

void fiber_test_run(fiber_fn *fn, void *arg)
{
    prepare(1, fn, arg);
    thread_main(NULL);
    pthread_barrier_destroy(&run.barrier);
}

void fiber_test_run_on(int n_threads, fiber_fn *fn, void *arg)
{
    pthread_t threads[THREADS_MOST];

    prepare(n_threads, fn, arg);
    for (int i = 0; i < n_threads; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, thread_main, (void *)(intptr_t)i), 0);
    for (int i = 0; i < n_threads; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    pthread_barrier_destroy(&run.barrier);
}
