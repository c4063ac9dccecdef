/* plan.c - what a seed stands for. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/world.h"

struct world world;

uint64_t rng_next(struct rng *r)
{
    uint64_t z = r->s += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

struct rng rng_of(uint64_t purpose, uint64_t index)
{
    struct rng r = { sim_seed * UINT64_C(0xd1342543de82ef95) + purpose };

    r.s = rng_next(&r) + index * UINT64_C(0x2545f4914f6cdd1d);
    r.s = rng_next(&r);
    return r;
}

static uint64_t mix(uint32_t id, unsigned which)
{
    struct rng r = { ((uint64_t)which << 32) + id };

    return rng_next(&r);
}

static char byte_at(uint64_t h, size_t o) { return (char)((h >> (o % 8 * 8)) ^ (o * 7 + (o >> 8) * 13 + (o >> 16) * 31)); }

void pattern(char *out, size_t n, uint32_t id, unsigned which, size_t at)
{
    uint64_t h = mix(id, which);

    for (size_t i = 0; i < n; i++)
        out[i] = byte_at(h, at + i);
}

size_t pattern_agrees(const char *bytes, size_t n, uint32_t id, unsigned which, size_t at)
{
    uint64_t h = mix(id, which);
    size_t i = 0;

    while (i < n && bytes[i] == byte_at(h, at + i))
        i++;
    return i;
}

/* Mostly small, sometimes large enough to be spliced. */
static size_t body_length(struct rng *r, bool calm)
{
    switch (rng_below(r, calm ? 8 : 12)) {
    case 0: return 0;
    case 8: return rng_below(r, 300000);
    case 9: return rng_below(r, 70000);
    case 10:
    case 7: return rng_below(r, 8000);
    default: return rng_below(r, 500);
    }
}

static void plan_request(struct request *q, uint32_t id, struct rng *r)
{
    static const struct {
        const char *name;
        unsigned share;
    } methods[] = { { "GET", 40 }, { "HEAD", 8 }, { "POST", 28 }, { "PUT", 12 }, { "DELETE", 7 }, { "PATCH", 5 } };
    unsigned at = (unsigned)rng_below(r, 100), i = 0;

    for (; at >= methods[i].share; i++)
        at -= methods[i].share;
    *q = (struct request){ .id = id, .method = methods[i].name };
    q->head = strcmp(q->method, "HEAD") == 0;
    q->idempotent = strcmp(q->method, "POST") != 0 && strcmp(q->method, "PATCH") != 0;
    q->old = rng_chance(r, 60);
    if (q->method[0] == 'P' || rng_chance(r, 50)) {
        q->framing = q->old || rng_chance(r, 500) ? BODY_LENGTH : BODY_CHUNKED;
        q->length = body_length(r, world.calm);
        q->expect = !q->old && q->length > 0 && rng_chance(r, 150);
    }
    q->close = q->old || rng_chance(r, 80);
    q->malformed = !world.calm && rng_chance(r, 20);
    q->upgrade = !q->malformed && !q->old && q->framing == BODY_NONE && strcmp(q->method, "GET") == 0 && rng_chance(r, 80);
}

static void plan_client(struct client *c, unsigned index)
{
    struct rng r = rng_of(RNG_CLIENT, index);

    *c = (struct client){ .index = index, .starts = (int64_t)rng_below(&r, 1500 * CLOCK_MS) };
    c->tcp = rng_chance(&r, 150);
    c->pipelines = rng_chance(&r, 300);
    c->slow = rng_chance(&r, 200);
    c->n = 1 + (unsigned)rng_below(&r, SCRIPT_MOST);
    for (unsigned i = 0; i < c->n; i++) {
        struct request *q = &c->script[i];
        plan_request(q, index * 16 + i + 1, &r);
        if (q->close || q->malformed || q->upgrade)
            c->n = i + 1; /* nothing can come after it */
    }
    if (c->tcp) {
        c->n = 1;
        c->script[0] = (struct request){ .id = index * 16 + 1, .method = "TCP", .length = body_length(&r, world.calm) };
    }
    c->end = rng_chance(&r, 250) ? CLIENT_HALF_CLOSES : CLIENT_STAYS;
    if (!world.calm && rng_chance(&r, 250)) {
        c->end = rng_chance(&r, 600) ? CLIENT_RESETS : CLIENT_STALLS;
        c->end_after = rng_below(&r, rng_chance(&r, 500) ? 400 : 20000);
    }
}

static void plan_backends(struct rng *r)
{
    world.n_backends = 1 + (unsigned)rng_below(r, BACKENDS_MOST);
    for (unsigned i = 0; i < world.n_backends; i++) {
        struct backend_plan *b = &world.backend[i];
        b->weight = 1 + (unsigned)rng_below(r, 5);
        b->close_idle = rng_chance(r, 500) ? (unsigned)rng_below(r, 600) : 0;
        b->backup = rng_chance(r, 150);
        if (i == 0 && world.calm)
            continue; /* this one is well */
        b->down = rng_chance(r, 250);
        b->flaps = rng_chance(r, 200);
        if (world.calm)
            continue;
        b->bad = rng_chance(r, 600) ? (unsigned)rng_below(r, 700) : 0;
        b->max_connections = rng_chance(r, 150) ? 1 + (unsigned)rng_below(r, 3) : 0;
    }
}

static unsigned sometimes(struct rng *r, unsigned often, unsigned most)
{
    return rng_chance(r, often) ? 1 + (unsigned)rng_below(r, most) : 0;
}

static void plan_faults(struct rng *r)
{
    struct net_faults *f = &world.net.faults;

    /* these two do no harm, so the calm have them too */
    f->interrupt = sometimes(r, 300, 100);
    f->short_splice = sometimes(r, 500, 500);
    f->little_room = sometimes(r, 300, 300);
    if (world.calm)
        return;
    f->false_alarm = sometimes(r, 200, 200);
    f->no_descriptor = sometimes(r, 150, 100);
    f->no_memory = sometimes(r, 150, 100);
    f->aborted = sometimes(r, 150, 200);
    f->cut = sometimes(r, 300, 300);
    f->unreachable = sometimes(r, 200, 200);
    f->descriptors = rng_chance(r, 150) ? 4 + (unsigned)rng_below(r, 20) : 0;
    world.alloc_faults = sometimes(r, 200, 60);
}

void world_plan(void)
{
    struct rng r = rng_of(RNG_PLAN, 0);

    memset(&world, 0, sizeof world);
    world.calm = rng_chance(&r, 300);
    if (!world.calm) {
        world.stops = rng_chance(&r, 100);
        world.drains = rng_chance(&r, 100);
    }
    world.reloads = rng_chance(&r, 250);
    if (world.calm) {
        struct rng late = rng_of(RNG_PLAN, 2);
        world.drains = rng_chance(&late, 600);
    }
    world.net.latency_least = (int64_t)rng_below(&r, 500);
    world.net.latency_most = world.net.latency_least + (int64_t)rng_below(&r, rng_chance(&r, 800) ? 3000 : 60000);
    world.net.buffer_least = rng_chance(&r, 200) ? 1 + rng_below(&r, 2000) : 4096;
    world.net.buffer_most = world.net.buffer_least + rng_below(&r, 200000);
    plan_faults(&r);
    plan_backends(&r);
    world.n_clients = 1 + (unsigned)rng_below(&r, CLIENTS_MOST);
    for (unsigned i = 0; i < world.n_clients; i++)
        plan_client(&world.client[i], i);
}

struct request *world_request(uint32_t id)
{
    struct client *c = id / 16 < world.n_clients ? &world.client[id / 16] : NULL;
    unsigned i = id % 16;

    return c == NULL || i == 0 || i > c->n ? NULL : &c->script[i - 1];
}

/* ---- the configuration ---- */

struct text {
    char *at, *end;
};
static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(t->at, (size_t)(t->end - t->at), fmt, args);
    va_end(args);
    if (n < 0 || n >= t->end - t->at)
        sim_fail("the configuration is too long");
    t->at += n;
}

static void add_timeouts(struct text *t, struct rng *r)
{
    static const char *const names[] = { "request_header", "client_idle", "connect",    "client_body",
                                         "first_byte",     "stream_idle", "tunnel_idle" };

    if (world.calm)
        return;
    add(t, "timeouts = { ");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        add(t, "%s = \"%ums\"; ", names[i], 40 + (unsigned)rng_below(r, rng_chance(r, 300) ? 400 : 5000));
    add(t, "};\n");
}

static void add_limits(struct text *t, struct rng *r)
{
    if (world.calm)
        return;
    add(t, "limits = { per_client = %u; ", rng_chance(r, 200) ? 1 + (unsigned)rng_below(r, 3) : 0);
    if (rng_chance(r, 150))
        add(t, "request_body = \"%u\"; ", 1 + (unsigned)rng_below(r, 20000));
    if (rng_chance(r, 150))
        add(t, "response_header = \"1K\"; request_header = \"1K\"; ");
    add(t, "};\n");
}

void world_conf(char *out, size_t size, bool again)
{
    static const char *const forwarded[] = { "x-forwarded", "rfc7239", "both", "off" };
    struct rng r = rng_of(RNG_PLAN, 1);
    struct text t = { out, out + size };

    add(&t, "daemon = { control = \"off\"; };\nlog = { access = \"off\"; };\n");
    add_timeouts(&t, &r);
    add_limits(&t, &r);
    add(&t,
        "listeners = ( { name = \"web\"; bind = \"10.0.0.1:%d\"; pool = \"app\"; forwarded = \"%s\"; via = %s; proxy_status = %s; },\n",
        HTTP_PORT, forwarded[rng_below(&r, 4)], rng_chance(&r, 500) ? "true" : "false", rng_chance(&r, 500) ? "true" : "false");
    add(&t, "  { name = \"raw\"; bind = \"10.0.0.1:%d\"; mode = \"tcp\"; pool = \"echo\"; } );\n", TCP_PORT);
    add(&t, "pools = ( { name = \"app\"; keepalive = { idle = %u; timeout = \"%ums\"; }; backends = (",
        rng_chance(&r, 150) ? 0 : (unsigned)rng_below(&r, 6), 20 + (unsigned)rng_below(&r, rng_chance(&r, 500) ? 500 : 20000));
    for (unsigned i = 0; i < world.n_backends; i++) {
        const struct backend_plan *b = &world.backend[i];
        if (again && i > 0 && i == world.n_backends - 1)
            break; /* one less */
        add(&t, "%s\n  { address = \"10.0.1.1:%u\"; weight = %u; backup = %s; max_connections = %u; }", i > 0 ? "," : "",
            BACKEND_PORT + i, again ? 6 - b->weight : b->weight, b->backup ? "true" : "false", b->max_connections);
    }
    add(&t, " ); },\n  { name = \"echo\"; backends = [ \"10.0.1.1:%u\" ]; } );\n", ECHO_PORT);
}
