/*
 * pick_bench.c - what a pick of each strategy costs, what its table costs, how even it is, and how many keys a change moves.
 *
 * Built by `make bench` with build/release/libweir.a.  Prints "key value" lines:
 *     pick_<strategy>_<n>_ns        one pick among n backends; keys and in-flight counts differ from pick to pick
 *     build_<strategy>_<n>_ms, table_<strategy>_<n>_kib
 *     moved_<strategy>_<n>          keys that move when one of n goes, as a multiple of the best there is, 1/n
 *     peak_<strategy>_<n>           the most loaded of n over the average, all keys asked for alike
 *     zipf_<strategy>, zipf_bound_<strategy>   the same of requests in flight, 100 backends, keys by Zipf's law; bound 1.25
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/must.h"
#include "base/rand.h"
#include "tests/bench/bench.h"
#include "upstream/backend.h"
#include "upstream/strategy.h"

#define KEYS      200000u
#define ZIPF_KEYS 10000u
#define FLYING    2000u /* requests in flight under Zipf's law */
#define BOUND     1.25

struct set {
    const struct strategy_ops *ops;
    struct ready ready;
    void *pieces[4], *state;
    size_t n_pieces, size;
    _Atomic uint64_t turn;
    _Atomic uint32_t inflight;
};

static void *take(struct ready *r, size_t size)
{
    struct set *s = CONTAINER_OF(r, struct set, ready);
    void *p = calloc(1, size);

    if (p == NULL || s->n_pieces == ARRAY_LEN(s->pieces))
        exit(2);
    s->size += size;
    return s->pieces[s->n_pieces++] = p;
}

static struct backend **backends_new(size_t n)
{
    struct backend **v = malloc(n * sizeof *v);

    for (size_t i = 0; v != NULL && i < n; i++) {
        v[i] = aligned_alloc(64, sizeof **v);
        if (v[i] == NULL)
            exit(2);
        *v[i] = (struct backend){ .magic = BACKEND_MAGIC };
        v[i]->candidate.id = hash_u64(i + 1);
        atomic_store(&v[i]->candidate.weight, 1);
        atomic_store(&v[i]->candidate.share, SHARE_WHOLE);
        atomic_store(&v[i]->candidate.latency, (uint32_t)(1000 + i % 7));
        atomic_store(&v[i]->candidate.inflight, (uint32_t)(1 + i % 3)); /* none is idle: nothing is found early */
    }
    for (size_t i = n; v != NULL && i-- > 1;) {
        size_t k = (size_t)rand_below(i + 1);
        struct backend *swap = v[i];
        v[i] = v[k];
        v[k] = swap;
    }
    return v;
}

static void backends_free(struct backend **v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(v[i]);
    free(v);
}

static void set_open(struct set *s, const struct strategy_ops *ops, struct backend **v, size_t n, double bound)
{
    *s = (struct set){ .ops = ops, .ready = { .v = v, .n = n, .bound = bound, .take = take } };
    s->ready.turn = &s->turn;
    s->ready.inflight = &s->inflight;
    s->state = calloc(1, ops->state_size + 1);
    for (size_t i = 0; i < n; i++)
        s->ready.weight += backend_weight(v[i]);
    if (s->state == NULL || (ops->rebuild != NULL && ops->rebuild(&s->ready) < 0))
        exit(2);
}

static void set_close(struct set *s)
{
    while (s->n_pieces > 0)
        free(s->pieces[--s->n_pieces]);
    free(s->state);
}

static struct backend *pick(struct set *s, uint64_t key)
{
    return s->ops->pick(s->state, &s->ready, &(struct pick_key){ .hash = hash_u64(key), .now = 1000 });
}

static void say(const char *what, const char *name, size_t n, const char *unit, double value)
{
    char key[96];

    if (n > 0)
        (void)snprintf(key, sizeof key, "%s_%s_%zu%s", what, name, n, unit);
    else
        (void)snprintf(key, sizeof key, "%s_%s", what, name);
    bench_say(key, value);
}

static void measure_time(const struct strategy_ops *ops, size_t n)
{
    struct backend **v = backends_new(n);
    unsigned rounds = n > 1000 ? 20000 : 400000;
    double begin = bench_ns(), best = 1e18;
    struct set s;

    set_open(&s, ops, v, n, 0);
    say("build", ops->name, n, "_ms", (bench_ns() - begin) / 1e6);
    say("table", ops->name, n, "_kib", (double)s.size / 1024);
    for (int i = 0; i < 3; i++) {
        struct backend *last = v[0];
        begin = bench_ns();
        for (unsigned k = 0; k < rounds; k++) { /* as a request does: one comes, another one ends */
            struct backend *b = pick(&s, k);
            atomic_fetch_add_explicit(&b->candidate.inflight, 1, memory_order_relaxed);
            atomic_fetch_sub_explicit(&last->candidate.inflight, 1, memory_order_relaxed);
            last = b;
        }
        begin = (bench_ns() - begin) / rounds;
        best = begin < best ? begin : best;
        atomic_fetch_sub_explicit(&last->candidate.inflight, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&v[0]->candidate.inflight, 1, memory_order_relaxed);
    }
    say("pick", ops->name, n, "_ns", best);
    set_close(&s);
    backends_free(v, n);
}

static void measure_move(const struct strategy_ops *ops, size_t n)
{
    struct backend **v = backends_new(n), **rest = malloc(n * sizeof *rest);
    size_t keys = n > 1000 && strcmp(ops->name, "rendezvous") == 0 ? KEYS / 10 : KEYS, moved = 0;
    uint32_t *got = calloc(n, sizeof *got), peak = 0;
    struct set before, after;

    if (rest == NULL || got == NULL)
        exit(2);
    memcpy(rest, v, n * sizeof *rest);
    rest[n / 2] = rest[n - 1];
    set_open(&before, ops, v, n, 0);
    set_open(&after, ops, rest, n - 1, 0);
    for (size_t i = 0; i < keys; i++)
        moved += pick(&before, i) != pick(&after, i);
    say("moved", ops->name, n, "", (double)moved / (double)keys * (double)n);
    if (n <= 1000) { /* more keys than that for each of 5,000 would take long, fewer show chance */
        for (size_t i = 0; i < n; i++)
            atomic_store(&v[i]->candidate.latency_at, (uint32_t)i); /* its place */
        for (size_t i = 0; i < 10 * KEYS; i++) {
            uint32_t c = ++got[atomic_load(&pick(&before, i)->candidate.latency_at)];
            peak = c > peak ? c : peak;
        }
        say("peak", ops->name, n, "", peak / (10.0 * KEYS / (double)n));
    }
    set_close(&before);
    set_close(&after);
    free(got);
    free(rest);
    backends_free(v, n);
}

static size_t zipf(const double *sums)
{
    double at = (double)rand_below(1u << 30) / (1u << 30) * sums[ZIPF_KEYS - 1];
    size_t low = 0, high = ZIPF_KEYS - 1;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (sums[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Mean over time of the fullest backend's requests in flight, over the average. */
static void measure_zipf(const struct strategy_ops *ops, double bound)
{
    enum { N = 100 };
    static double sums[ZIPF_KEYS];
    static struct backend *flying[FLYING];
    struct backend **v = backends_new(N);
    double peaks = 0;
    struct set s;

    rand_seed(3);
    for (size_t i = 0; i < ZIPF_KEYS; i++)
        sums[i] = (i > 0 ? sums[i - 1] : 0) + 1.0 / (double)(i + 1);
    for (size_t i = 0; i < N; i++)
        atomic_store(&v[i]->candidate.inflight, 0);
    memset(flying, 0, sizeof flying);
    set_open(&s, ops, v, N, bound);
    for (size_t i = 0; i < 20 * FLYING; i++) {
        struct backend **slot = &flying[rand_below(FLYING)];
        uint32_t most = 0;
        if (*slot != NULL) {
            atomic_fetch_sub(&(*slot)->candidate.inflight, 1);
            atomic_fetch_sub(&s.inflight, 1);
        }
        *slot = pick(&s, zipf(sums));
        atomic_fetch_add(&(*slot)->candidate.inflight, 1);
        atomic_fetch_add(&s.inflight, 1);
        for (size_t k = 0; k < N && i >= 10 * FLYING; k++)
            most = backend_inflight(v[k]) > most ? backend_inflight(v[k]) : most;
        peaks += most / ((double)atomic_load(&s.inflight) / N);
    }
    say(bound > 0 ? "zipf_bound" : "zipf", ops->name, 0, "", peaks / (10.0 * FLYING));
    set_close(&s);
    backends_free(v, N);
}

int main(void)
{
    static const size_t sizes[] = { 2, 100, 5000 };
    const struct strategy_ops *ops;

    rand_seed(1);
    for (size_t i = 0; (ops = strategy_at(i)) != NULL; i++) {
        for (size_t k = 0; k < ARRAY_LEN(sizes); k++)
            measure_time(ops, sizes[k]);
        if (!ops->hashes)
            continue;
        measure_move(ops, 10);
        measure_move(ops, 100);
        measure_move(ops, 5000);
        measure_zipf(ops, 0);
        measure_zipf(ops, BOUND);
    }
    return 0;
}
