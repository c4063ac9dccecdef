/*
 * strategy_sim.c - the same trace of requests through every strategy, beside backends that are slow, flap and fail.
 *
 * The strategies, the pool and the ejection are the program's own; only backends and time are made up, so a run takes seconds and
 * says the same each time.  `make docs-strategies` writes what it finds into docs/strategies.md and docs/strategies.svg.
 *
 *     strategy_sim table      the rows of a table, in Markdown
 *     strategy_sim svg        the picture
 *
 * The trace: 60 s of 4,000 requests a second at times by chance, each with a demand (lognormal, 8 ms on average) and a key (Zipf's
 * law over 20,000).  The backends: ten that work on 8 requests at a time and queue the others.
 *     slow       works at a third of the others' speed: an even share is more than it can do
 *     flapping   goes down for 3 of every 10 s: breaks off what it has, refuses what comes
 *     failing    from the 15th to the 45th second answers every second request 500, at once
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/must.h"
#include "base/rand.h"
#include "fiber/core.h"
#include "upstream/pool.h"

#define REQUESTS    240000u
#define EVERY       (CLOCK_S / 4000.0)
#define DEMAND      8000.0 /* microseconds */
#define SPREAD      0.8    /* of its logarithm */
#define KEYS        20000u
#define CONNECT     200 /* microseconds, there and back */
#define FAILS_AFTER 1000
#define TRIES_MOST  3
#define WARMED_UP   (5 * CLOCK_S) /* counted from here on */

enum { BACKENDS = 10, SLOTS = 8, SLOW = 1, FLAPPING = 4, FAILING = 7 };
enum end { ENDS_WELL, ENDS_REFUSED, ENDS_RESET, ENDS_500 };

struct request {
    struct list link; /* of its backend: those it has, and those that wait */
    int64_t arrives, begun;
    double demand;
    uint64_t key;
    struct tried tried;
    int at; /* -1: nowhere */
    unsigned tries, life;
    enum end end;
    bool waits;
};

struct server {
    struct list has, waiting;
    unsigned busy;
    bool down;
};

struct event {
    int64_t when;
    void (*run)(struct request *);
    struct request *request;
    unsigned life; /* of the request; another one by then: it has been broken off */
};

struct row {
    char name[32];
    double p50, p99, p999, errors, slow, failing;
};

static struct request *requests;
static struct server servers[BACKENDS];
static struct event *heap;
static size_t n_events;
static struct sched clockwork; /* what fiber_now() reads */
static struct pool *pool;
static bool changed;
static double *latencies;
static size_t n_latencies, n_errors, n_counted, n_slow, n_failing, n_while_failing;

static int64_t now(void) { return clockwork.now; }

/* ---- events ---- */

static void after(int64_t delay, void (*run)(struct request *), struct request *q)
{
    struct event e = { now() + delay, run, q, q != NULL ? q->life : 0 };
    size_t i = n_events++;

    for (; i > 0 && heap[(i - 1) / 2].when > e.when; i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = e;
}

static struct event next_event(void)
{
    struct event first = heap[0], last = heap[--n_events];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < n_events && heap[child + 1].when < heap[child].when)
            child++;
        if (child >= n_events || heap[child].when >= last.when)
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
    return first;
}

/* ---- the pool's surroundings: what the health thread does ---- */

static struct backend *member(int i) { return pool_set_now(pool)->members[i]; }

static void noticed(struct backend *b, enum backend_out why)
{
    (void)b;
    (void)why;
    changed = true;
}

static void publish(void)
{
    struct pool_set *old = NULL;
    const struct pool_set *s = pool_set_now(pool);

    if (pool_publish(pool, s->members, s->n_members, &old) < 0)
        exit(2);
    pool_set_free(&old);
    changed = false;
}

/* Every 100 ms: who has served its time comes back, and so does who takes connections again (asked each second). */
static void look_around(struct request *unused)
{
    (void)unused;
    for (int i = 0; i < BACKENDS; i++) {
        struct backend *b = member(i);
        if ((backend_out(b) & BACKEND_EJECTED) != 0 && now() >= atomic_load(&b->ejected_until))
            changed |= backend_bring_back(b, BACKEND_EJECTED);
        if ((backend_out(b) & BACKEND_REFUSED) != 0 && now() / (CLOCK_S / 10) % 10 == 0 && !servers[i].down)
            changed |= backend_bring_back(b, BACKEND_REFUSED);
    }
    after(CLOCK_S / 10, look_around, NULL);
}

/* ---- requests at backends ---- */

static void begin(struct request *q);
static void end(struct request *q);

static void work_on(struct request *q)
{
    struct server *s = &servers[q->at];

    s->busy++;
    q->waits = false;
    list_push_back(&s->has, &q->link);
    after((int64_t)(q->demand * (q->at == SLOW ? 3 : 1)) + CONNECT, end, q);
}

static void leave(struct request *q)
{
    struct server *s = &servers[q->at];
    struct list *it;

    list_remove(&q->link);
    if (q->waits)
        return;
    s->busy--;
    it = list_first(&s->waiting);
    if (it == NULL || s->down)
        return;
    list_remove(it);
    work_on(LIST_ITEM(it, struct request, link));
}

static void count(const struct request *q)
{
    if (q->arrives < WARMED_UP)
        return;
    n_counted++;
    if (q->end == ENDS_WELL)
        latencies[n_latencies++] = (double)(now() - q->arrives);
    else
        n_errors++;
}

/* A try has ended, as exchange_run() and lease_end() see it. */
static void end(struct request *q)
{
    struct backend *b = member(q->at);
    struct outcome o = { .latency = now() - q->begun, .status = 200 };

    if (q->end == ENDS_WELL)
        leave(q);
    else if (q->end == ENDS_500)
        o.status = 500;
    else
        o = (struct outcome){ .latency = -1, .code = q->end == ENDS_REFUSED ? -ERR_CONNECT_REFUSED : -ERR_BACKEND_RESET };
    q->life++;
    atomic_fetch_sub(&b->candidate.inflight, 1);
    atomic_fetch_sub(&b->tally->inflight, 1);
    pool_done(pool, b, &o);
    if (o.code != 0 && q->tries < TRIES_MOST) {
        begin(q);
        return;
    }
    tried_free(&q->tried);
    count(q);
}

static bool is_failing_now(void) { return now() >= 15 * CLOCK_S && now() < 45 * CLOCK_S; }

static int place_of(const struct backend *b)
{
    for (int i = 0; i < BACKENDS; i++)
        if (member(i) == b)
            return i;
    exit(2);
}

static void arrive_at(struct request *q)
{
    struct server *s = &servers[q->at];

    q->end = ENDS_WELL;
    if (s->down) {
        q->end = ENDS_REFUSED;
        after(CONNECT, end, q);
        return;
    }
    atomic_fetch_add(&member(q->at)->requests, 1);
    if (q->at == FAILING && is_failing_now() && hash_u64(q->key ^ (uint64_t)q->arrives) % 2 == 0) {
        q->end = ENDS_500;
        after(FAILS_AFTER, end, q);
    } else if (s->busy < SLOTS) {
        work_on(q);
    } else {
        q->waits = true;
        list_push_back(&s->waiting, &q->link);
    }
}

static void begin(struct request *q)
{
    struct backend *b = pool_pick(pool, q->key, &q->tried);

    if (b == NULL || !tried_add(&q->tried, b)) {
        q->end = ENDS_REFUSED;
        tried_free(&q->tried);
        count(q);
        return;
    }
    q->tries++;
    q->at = place_of(b);
    q->begun = now();
    if (q->arrives >= WARMED_UP) {
        n_slow += q->at == SLOW;
        n_while_failing += is_failing_now();
        n_failing += is_failing_now() && q->at == FAILING;
    }
    atomic_fetch_add(&b->candidate.inflight, 1);
    atomic_fetch_add(&b->tally->inflight, 1);
    arrive_at(q);
}

static void break_off(struct list *l)
{
    struct list *it;

    while ((it = list_first(l)) != NULL) {
        struct request *q = LIST_ITEM(it, struct request, link);
        leave(q);
        q->end = ENDS_RESET;
        q->life++;
        end(q);
    }
}

static void flap(struct request *unused)
{
    struct server *s = &servers[FLAPPING];

    (void)unused;
    s->down = !s->down;
    if (s->down) {
        break_off(&s->waiting);
        break_off(&s->has);
    }
    after(s->down ? 3 * CLOCK_S : 7 * CLOCK_S, flap, NULL);
}

/* ---- the trace ---- */

static double even(void) { return ((double)(rand_u64() >> 11) + 0.5) / (double)(UINT64_C(1) << 53); }

static void make_trace(void)
{
    double *sums = malloc(KEYS * sizeof *sums), at = 0, logarithm = log(DEMAND) - SPREAD * SPREAD / 2;

    requests = calloc(REQUESTS, sizeof *requests);
    latencies = malloc(REQUESTS * sizeof *latencies);
    heap = malloc((REQUESTS + 64) * sizeof *heap);
    if (sums == NULL || requests == NULL || latencies == NULL || heap == NULL)
        exit(2);
    for (size_t i = 0; i < KEYS; i++)
        sums[i] = (i > 0 ? sums[i - 1] : 0) + 1 / pow((double)(i + 1), 0.9);
    rand_seed(1);
    for (size_t i = 0; i < REQUESTS; i++) {
        double normal = sqrt(-2 * log(even())) * cos(6.283185307179586 * even()), where = even() * sums[KEYS - 1];
        size_t low = 0, high = KEYS - 1;
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (sums[middle] < where)
                low = middle + 1;
            else
                high = middle;
        }
        at -= log(even()) * EVERY;
        requests[i] = (struct request){ .arrives = (int64_t)at,
                                        .demand = exp(logarithm + SPREAD * normal),
                                        .key = hash_u64(low + 1) };
    }
    free(sums);
}

/* ---- a run ---- */

static void open_pool(struct pool_conf *conf, const struct strategy_ops *ops, double bound)
{
    static struct backend_conf backends[BACKENDS];
    static char names[BACKENDS][32];

    *conf = (struct pool_conf){
        .name = "app", .strategy = ops, .backends = { .v = backends, .n = BACKENDS }, .hash.bound = bound
    };
    conf->outlier = (struct outlier_conf){ .consecutive = 5,
                                           .ratio = 50,
                                           .least_requests = 20,
                                           .window = 10 * CLOCK_S,
                                           .eject = 10 * CLOCK_S,
                                           .eject_most = 300 * CLOCK_S,
                                           .max_ejected = 30,
                                           .panic = 50 };
    (void)status_set_parse("502-504", &conf->outlier.failing);
    for (size_t i = 0; i < BACKENDS; i++) {
        (void)snprintf(names[i], sizeof names[i], "10.0.0.%zu:80", i + 1);
        backends[i] = (struct backend_conf){ .address_text = names[i], .weight = 1 };
        if (addr_parse(names[i], &backends[i].address, NULL) != NULL)
            exit(2);
        servers[i] = (struct server){ 0 };
        list_init(&servers[i].has);
        list_init(&servers[i].waiting);
    }
    pool = pool_new(conf, 1, NULL);
    if (pool == NULL)
        exit(2);
    for (int i = 0; i < BACKENDS; i++)
        backend_join(member(i));
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return left < right ? -1 : left > right;
}

static double percentile(double part) { return latencies[(size_t)((double)(n_latencies - 1) * part)] / 1000; }

static struct row run(const struct strategy_ops *ops, double bound)
{
    struct pool_conf conf;
    size_t arrived = 0;
    struct row row;

    rand_seed(2);
    n_events = n_latencies = n_errors = n_counted = n_slow = n_failing = n_while_failing = 0;
    clockwork.now = 0;
    open_pool(&conf, ops, bound);
    after(7 * CLOCK_S, flap, NULL);
    after(CLOCK_S / 10, look_around, NULL);
    while (n_counted + n_errors == 0 || arrived < REQUESTS || atomic_load(&pool->tally->inflight) > 0) {
        if (arrived < REQUESTS && requests[arrived].arrives <= heap[0].when) {
            struct request *q = &requests[arrived++];
            clockwork.now = q->arrives;
            q->tries = 0;
            q->life++;
            begin(q);
        } else {
            struct event e = next_event();
            clockwork.now = e.when;
            if (e.request == NULL || e.request->life == e.life)
                e.run(e.request);
        }
        if (changed)
            publish();
    }
    qsort(latencies, n_latencies, sizeof *latencies, by_size);
    row = (struct row){ .p50 = percentile(0.5), .p99 = percentile(0.99), .p999 = percentile(0.999) };
    row.errors = 100.0 * (double)n_errors / (double)n_counted;
    row.slow = 100.0 * (double)n_slow / (double)n_counted;
    row.failing = 100.0 * (double)n_failing / (double)n_while_failing;
    if (bound > 0)
        (void)snprintf(row.name, sizeof row.name, "%s, bound %g", ops->name, bound);
    else
        (void)snprintf(row.name, sizeof row.name, "%s", ops->name);
    pool_free(&pool);
    return row;
}

/* ---- what it says ---- */

static void write_table(const struct row *rows, size_t n)
{
    printf(
        "| strategy | p50, ms | p99, ms | p99.9, ms | errors | to the slow one | to the failing one |\n|---|--:|--:|--:|--:|--:|--:|\n");
    for (size_t i = 0; i < n; i++)
        printf("| `%s` | %.1f | %.0f | %.0f | %.2f %% | %.1f %% | %.1f %% |\n", rows[i].name, rows[i].p50, rows[i].p99,
               rows[i].p999, rows[i].errors, rows[i].slow, rows[i].failing);
}

/* From 1 ms to 100 s, by logarithm. */
static double x_of(double ms) { return 190 + 110 * log10(ms < 1 ? 1 : ms); }

static void write_svg(const struct row *rows, size_t n)
{
    size_t height = 26 * n + 92;

    printf(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"800\" height=\"%zu\" font-family=\"sans-serif\" font-size=\"13\">\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n"
        "<text x=\"190\" y=\"22\" font-size=\"15\" fill=\"#222\">Latency by strategy: a slow, a flapping and a failing one of ten "
        "backends</text>\n",
        height);
    for (int i = 0; i <= 5; i++) {
        double x = x_of(pow(10, i));
        printf("<line x1=\"%.0f\" y1=\"36\" x2=\"%.0f\" y2=\"%zu\" stroke=\"#ddd\"/>\n"
               "<text x=\"%.0f\" y=\"%zu\" text-anchor=\"middle\" fill=\"#555\">%g %s</text>\n",
               x, x, height - 52, x, height - 36, i < 3 ? pow(10, i) : pow(10, i - 3), i < 3 ? "ms" : "s");
    }
    for (size_t i = 0; i < n; i++) {
        double y = 40 + 26.0 * (double)i;
        printf("<text x=\"180\" y=\"%.0f\" text-anchor=\"end\" fill=\"#222\">%s</text>\n"
               "<rect x=\"%.0f\" y=\"%.0f\" width=\"%.0f\" height=\"14\" fill=\"#f0b27a\"/>\n"
               "<rect x=\"%.0f\" y=\"%.0f\" width=\"%.0f\" height=\"14\" fill=\"#2e86c1\"/>\n",
               y + 12, rows[i].name, x_of(1), y, x_of(rows[i].p99) - x_of(1), x_of(1), y, x_of(rows[i].p50) - x_of(1));
    }
    printf(
        "<rect x=\"190\" y=\"%zu\" width=\"12\" height=\"12\" fill=\"#2e86c1\"/><text x=\"207\" y=\"%zu\" fill=\"#222\">half are quicker "
        "(p50)</text>\n"
        "<rect x=\"360\" y=\"%zu\" width=\"12\" height=\"12\" fill=\"#f0b27a\"/><text x=\"377\" y=\"%zu\" fill=\"#222\">99 of 100 are "
        "quicker (p99)</text>\n</svg>\n",
        height - 20, height - 9, height - 20, height - 9);
}

int main(int argc, char **argv)
{
    struct row rows[32];
    const struct strategy_ops *ops;
    size_t n = 0;

    sched_of_thread = &clockwork;
    pool_notice = noticed;
    make_trace();
    for (size_t i = 0; (ops = strategy_at(i)) != NULL && n + 2 <= ARRAY_LEN(rows); i++) {
        rows[n++] = run(ops, 0);
        if (ops->hashes)
            rows[n++] = run(ops, 1.25);
    }
    if (argc > 1 && strcmp(argv[1], "svg") == 0)
        write_svg(rows, n);
    else
        write_table(rows, n);
    free(requests);
    free(latencies);
    free(heap);
    return 0;
}
