/*
 * main.c - the proxy in a world of its own: virtual time, sockets in memory, everything drawn from a seed.
 *
 *     sim [N]        the regressions, then the seeds 1 to N (500); stops at the first that fails and prints it
 *     sim -f A N     N seeds from A on
 *     sim -k ...     goes on after a failure
 *     sim -v SEED    one seed, with a trace
 *
 * What holds in every seed: no client ever gets another request's answer or a wrong byte; what seems complete is; nothing that
 * can't be repeated reaches backends twice; what may be repeated succeeds while a backend is well and only connecting and idle
 * connections fail (the calm seeds); every client comes to its end; afterwards no fiber, descriptor, count or allocation is left.
 * The seeds run in a child, so that a crash still names its seed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/rand.h"
#include "conf/load.h"
#include "conf/snapshot.h"
#include "proxy/worker.h"
#include "tests/sim/world.h"

enum { PATIENCE_S = 900, SECONDS_A_SEED = 60 };

/* Seeds that once failed.  What a seed stands for changes with the plan; they cost nothing. */
static const uint64_t regressions[] = { 1, 891 };

uint64_t sim_seed;
bool sim_verbose;

static struct sim {
    struct worker *worker;
    struct snapshot *conf;
    struct serving *serving;
    struct listener_set *listeners;
    bool published, drained;
    unsigned fibers;
} sim;

void sim_trace(const char *fmt, ...)
{
    va_list args;

    if (!sim_verbose)
        return;
    (void)fprintf(stderr, "%10.6f  ", (double)(sim_now() - 1000 * CLOCK_S) / 1e6);
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    (void)fputc('\n', stderr);
}

static void tell_fiber(const struct fiber_info *f, void *arg)
{
    (void)arg;
    (void)fprintf(stderr, "    %-12s %s%s\n", f->name, f->doing, f->waiting ? "" : " (ready)");
}

void sim_fail(const char *fmt, ...)
{
    va_list args;

    (void)fprintf(stderr, "seed %llu failed: ", (unsigned long long)sim_seed);
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    (void)fprintf(stderr, " (at %.6f s)\n", (double)(sim_now() - 1000 * CLOCK_S) / 1e6);
    if (sim_verbose && sched_self() != NULL)
        fiber_each(tell_fiber, NULL);
    _exit(1);
}

struct actor {
    void (*fn)(void *);
    void *arg;
};

static void actor_run(void *arg)
{
    struct actor a = *(struct actor *)arg;

    sim_free(arg);
    a.fn(a.arg);
    world.actors--;
}

void sim_go(const char *name, void (*fn)(void *), void *arg)
{
    struct actor *a = sim_alloc(sizeof *a);

    *a = (struct actor){ fn, arg };
    world.actors++;
    if (fiber_go(NULL, name, actor_run, a) < 0)
        sim_fail("no fiber for an actor");
}

/* ---- what the main thread does ---- */

static void keep_old(struct snapshot *conf, struct serving *serving, struct listener_set *listeners)
{
    if (serving == NULL)
        sim_fail("the first configuration can't be put in place");
    serving_unref(&sim.serving);
    listener_set_unref(&sim.listeners);
    snapshot_unref(&sim.conf);
    sim.conf = conf;
    sim.serving = serving;
    sim.listeners = listeners;
}

static void build(void *again)
{
    static char text[8192];
    struct conf_report report;
    struct snapshot *old_conf = sim.conf;
    struct serving *old = sim.serving;
    struct listener_set *old_listeners = sim.listeners;
    const struct pool_set *was, *is;
    struct buf why = { 0 };

    world_conf(text, sizeof text, again != NULL);
    alloc_faults(0); /* loading has its own tests */
    if (conf_load_text(text, "sim.conf", &sim.conf, &report) < 0)
        sim_fail("the configuration is refused:\n%s%s", text, report.text);
    conf_report_free(&report);
    alloc_faults(again != NULL ? world.alloc_faults : 0);
    sim.listeners = NULL;
    sim.serving = serving_new(sim.conf, 1, old);
    if (sim.serving == NULL || listener_set_open(sim.conf, old_listeners, 1, &sim.listeners, &why) < 0) {
        sim_trace("the new configuration can't be put in place: %s", why.p != NULL ? why.p : "no memory");
        keep_old(old_conf, old, old_listeners);
        buf_free(&why);
        return;
    }
    buf_free(&why);
    if (old == NULL)
        return;
    was = pool_set_now(old->pools[0]);
    is = pool_set_now(sim.serving->pools[0]);
    for (size_t i = 0; i < was->n_members; i++) { /* as reload.c does */
        bool stays = false;
        for (size_t j = 0; j < is->n_members; j++)
            stays |= is->members[j] == was->members[i];
        if (!stays)
            atomic_store(&was->members[i]->retired, true);
    }
    serving_unref(&old);
    listener_set_unref(&old_listeners);
    snapshot_unref(&old_conf);
}

static void on_published(void *arg)
{
    (void)arg;
    sim.published = true;
}

static void on_drained(void *arg)
{
    (void)arg;
    sim.drained = true;
}

static void publish(void)
{
    sim.published = false;
    if (worker_publish(sim.worker, sim.serving, sim.listeners, on_published, NULL) < 0)
        sim_fail("no memory to publish"); /* actors have it always */
}

static void reload(void)
{
    sim_trace("reload");
    fiber_on_thread_stack(build, &sim);
    publish();
}

/* Whose request has come by now gets an answer; of others nobody can know. */
static void drain(void)
{
    if (sim.drained)
        return;
    sim_trace("drain");
    world.draining = true;
    for (unsigned i = 0; i < world.n_clients; i++)
        client_note_drain(&world.client[i]);
    if (worker_drain(sim.worker, on_drained, NULL) < 0)
        sim_fail("no memory to drain");
}

/* ---- one seed ---- */

static void wait_for(bool (*is_so)(void), int64_t most, const char *what)
{
    int64_t until = sim_now() + most;

    while (!is_so()) {
        if (sim_now() > until) {
            for (unsigned i = 0; i < world.n_clients; i++)
                if (!world.client[i].over)
                    sim_trace("client %u is not over, %u of %u done", i, world.client[i].done, world.client[i].n);
            sim_fail("%s", what);
        }
        (void)fiber_sleep(sim_now() + 20 * CLOCK_MS);
    }
}

static bool clients_are_over(void) { return world.clients_left == 0; }
static bool worker_is_empty(void) { return sim.drained && sim.worker->n_conns == 0 && list_is_empty(&sim.worker->tunnels); }
static bool fibers_are_gone(void)
{
    struct sched_stats stats;

    sched_stats_get(sched_self(), &stats);
    return stats.fibers == 1;
}

static void check_counts(void)
{
    for (size_t i = 0; i < sim.serving->conf->n_pools; i++) {
        const struct pool_set *set = pool_set_now(sim.serving->pools[i]);
        for (size_t j = 0; j < set->n_members; j++) {
            const struct backend *b = set->members[j];
            if (backend_inflight(b) != 0)
                sim_fail("%u requests are in flight to %s at the end", backend_inflight(b), b->name);
            if (b->in_use != 0)
                sim_fail("%u connections to %s in use at the end", b->in_use, b->name);
        }
    }
    if (atomic_load(&connections.open) != 0)
        sim_fail("%u client connections are counted at the end", connections.open);
}

/* The main thread, as an actor. */
static void conduct(void *arg)
{
    struct rng r = rng_of(RNG_MAIN, 0);

    (void)arg;
    (void)fiber_sleep(sim_now() + 1000);
    if (!sim.published)
        sim_fail("the configuration was not taken up");
    alloc_faults(world.alloc_faults);
    for (unsigned i = 0; i < world.n_clients; i++)
        client_start(&world.client[i]);
    if (world.reloads) {
        (void)fiber_sleep(sim_now() + (int64_t)rng_below(&r, 3 * CLOCK_S));
        reload();
    }
    if (world.drains) {
        (void)fiber_sleep(sim_now() + (int64_t)rng_below(&r, (world.calm ? 1500 : 3000) * CLOCK_MS));
        net_hold(true);
        (void)fiber_sleep(sim_now() + (int64_t)rng_below(&r, 20 * CLOCK_MS));
        drain();
        net_hold(false);
    }
    if (world.stops) {
        (void)fiber_sleep(sim_now() + (int64_t)rng_below(&r, 3 * CLOCK_S));
        sim_trace("stop");
        (void)worker_stop(sim.worker);
        (void)fiber_sleep(sim_now() + 450 * CLOCK_MS);
        if (sim_verbose && sim.worker->n_conns > 0)
            fiber_each(tell_fiber, NULL);
        return;
    }
    wait_for(clients_are_over, PATIENCE_S * CLOCK_S, "a client waits for ever");
    drain();
    wait_for(worker_is_empty, PATIENCE_S * CLOCK_S, "the proxy keeps connections although no client is left");
    backends_end();
    wait_for(fibers_are_gone, PATIENCE_S * CLOCK_S, "fibers are left although nobody is there");
    check_counts();
    (void)worker_stop(sim.worker);
}

static void on_ready(struct worker *w, void *arg)
{
    (void)arg;
    sim.worker = w;
    publish();
    world.clients_left = world.n_clients;
    backends_start();
    sim_go("sim main", conduct, NULL);
}

static void run_seed(uint64_t seed)
{
    sim_seed = seed;
    rand_seed(seed);
    memset(&sim, 0, sizeof sim);
    alloc_start();
    world_plan();
    net_open(&world.net);
    atomic_store(&connections.most, world.calm ? 1000 : seed % 7 == 0 ? 5 : 1000);
    build(NULL);
    if (worker_run(0, on_ready, NULL) < 0)
        sim_fail("the worker does not start");
    alloc_faults(0);
    listener_set_unref(&sim.listeners);
    serving_unref(&sim.serving);
    snapshot_unref(&sim.conf);
    if (atomic_load(&connections.open) != 0)
        sim_fail("%u client connections are counted after the stop", connections.open);
    if (net_descriptors() != 0)
        sim_fail("%u descriptors are open at the end", net_descriptors());
    alloc_check();
    net_close();
    sim_free_all();
}

static volatile uint64_t *running; /* shared with the child */

static void run_seeds(uint64_t first, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        *running = first + i;
        (void)alarm(SECONDS_A_SEED);
        run_seed(first + i);
    }
    (void)alarm(0);
}

/* In a child; the number of seeds that passed. */
static uint64_t try_seeds(uint64_t first, uint64_t n)
{
    pid_t child;
    int status;

    *running = first;
    (void)fflush(NULL);
    child = fork();
    if (child == 0) {
        run_seeds(first, n);
        *running = first + n;
        exit(0); /* the leak checker has its turn */
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return n;
    if (WIFSIGNALED(status))
        (void)fprintf(stderr, "seed %llu failed: %s\n", (unsigned long long)*running,
                      WTERMSIG(status) == SIGALRM ? "it does not come to an end" : strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 1)
        (void)fprintf(stderr, "seed %llu failed: exit code %d\n", (unsigned long long)*running, WEXITSTATUS(status));
    (void)fprintf(stderr, "again, with a trace: sim -v %llu\n", (unsigned long long)*running);
    return *running - first;
}

static unsigned run_all(uint64_t first, uint64_t n, bool go_on)
{
    unsigned failed = 0;

    while (n > 0) {
        uint64_t passed = try_seeds(first, n);
        if (passed >= n)
            break;
        failed++;
        if (!go_on)
            break;
        first += passed + 1;
        n -= passed + 1;
    }
    return failed;
}

static void prepare(void)
{
    sys = &sim_sys;
    worker_netpoll = &sim_engine;
    clock_source = &sim_clock;
    if (!sim_verbose)
        log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    running = mmap(NULL, sizeof *running, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (running == MAP_FAILED)
        exit(2);
}

int main(int argc, char **argv)
{
    uint64_t first = 1, n = 500;
    unsigned failed = 0;
    bool go_on = false, from = false;
    int at = 1;

    for (; at < argc && argv[at][0] == '-'; at++) {
        sim_verbose |= argv[at][1] == 'v';
        go_on |= argv[at][1] == 'k';
        from |= argv[at][1] == 'f';
    }
    prepare();
    if (sim_verbose) {
        run_seed(at < argc ? strtoull(argv[at], NULL, 10) : 1);
        return 0;
    }
    if (from && at < argc)
        first = strtoull(argv[at++], NULL, 10);
    if (at < argc)
        n = strtoull(argv[at], NULL, 10);
    for (size_t i = 0; !from && i < sizeof regressions / sizeof regressions[0]; i++)
        failed += run_all(regressions[i], 1, go_on);
    if (failed == 0 || go_on)
        failed += run_all(first, n, go_on);
    if (failed == 0)
        (void)printf("simulation: %llu seeds, all passed\n", (unsigned long long)n);
    return failed != 0;
}
