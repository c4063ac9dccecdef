/* backend.c - servers that answer, and servers that do everything else. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/world.h"

enum { PIECE = 8192 };

struct session {
    unsigned backend;
    struct sock *s;
    struct wire w;
    struct rng rng; /* of the request at hand */
    struct request *q;
    struct receipt *receipt, unseen;
    unsigned which; /* the receipt's number: of the pattern */
};

static void pause_for(struct rng *r, int64_t most) { (void)fiber_sleep(sim_now() + (int64_t)rng_below(r, (uint64_t)most)); }

/* Sends in pieces, some with a pause between them. */
static int send_some(struct session *c, const char *bytes, size_t n)
{
    sim_trace("backend %u sends %zu bytes", c->backend, n);
    while (n > 0) {
        size_t piece = rng_chance(&c->rng, 600) ? n : rng_between(&c->rng, 1, n);
        int rc = sim_send(c->s, bytes, piece, CLOCK_NEVER);
        if (rc < 0)
            return rc;
        bytes += piece;
        n -= piece;
        if (rng_chance(&c->rng, 50))
            pause_for(&c->rng, 20 * CLOCK_MS);
    }
    return 0;
}

static int say(struct session *c, const char *text) { return send_some(c, text, strlen(text)); }

/* ---- the request ---- */

static void check_line(const struct session *c, const struct head *h)
{
    char want[64];

    (void)snprintf(want, sizeof want, "%s /r/%u HTTP/1.1\r\n", c->q->method, c->q->id);
    if (strncmp(h->text, want, strlen(want)) != 0)
        sim_fail("request %u came to a backend as %.40s", c->q->id, h->text);
}

static void note_receipt(struct session *c, uint32_t id)
{
    struct request *q = world_request(id);

    if (q == NULL || q->malformed)
        sim_fail("request %u came to a backend and is %s", id, q == NULL ? "nobody's" : "malformed");
    c->q = q;
    c->which = q->n_receipts++;
    c->receipt = c->which < TRIES_SEEN ? &q->receipt[c->which] : &c->unseen;
    sim_trace("backend %u has request %u, for time %u", c->backend, id, q->n_receipts);
    if (!q->idempotent && q->n_receipts > 1)
        sim_fail("%s %u came to backends twice", q->method, id);
    c->rng = rng_of(RNG_TRY, ((uint64_t)id << 8) + c->which);
}

/* 1: a request; else it is over. */
static int read_request(struct session *c, struct head *h)
{
    char value[64];
    int rc = wire_head(&c->w, h);

    if (rc == SIM_LATE && c->w.n > 0) { /* one has begun: idle time is over */
        c->w.deadline = CLOCK_NEVER;
        rc = wire_head(&c->w, h);
    }
    if (rc != 1)
        return rc;
    if (head_field(h, "X-Id", value, sizeof value) == NULL)
        sim_fail("a request without X-Id came to a backend: %.60s", h->text);
    note_receipt(c, (uint32_t)strtoul(value, NULL, 10));
    check_line(c, h);
    return 1;
}

/* 0, or it did not come whole. */
static int read_body(struct session *c, const struct head *h)
{
    char bytes[PIECE];
    struct body_in b;
    size_t at = 0;
    ssize_t got;

    body_in_of(&b, h, false, false);
    while ((got = wire_body(&c->w, &b, bytes, rng_chance(&c->rng, 900) ? sizeof bytes : 1 + rng_below(&c->rng, 100))) > 0) {
        if (pattern_agrees(bytes, (size_t)got, c->q->id, TO_BACKEND, at) < (size_t)got)
            sim_fail("the body of request %u differs at a backend, after byte %zu", c->q->id, at);
        at += (size_t)got;
        if (rng_chance(&c->rng, 20))
            pause_for(&c->rng, 10 * CLOCK_MS);
    }
    if (got == WIRE_BAD)
        sim_fail("the body of request %u is malformed at a backend", c->q->id);
    if (got == 0 && at != c->q->length)
        sim_fail("the body of request %u has %zu bytes at a backend, not %zu, and seems complete", c->q->id, at, c->q->length);
    return (int)got;
}

/* ---- the answer ---- */

struct answer {
    int status;
    bool empty;      /* no body, whatever the head says */
    uint8_t framing; /* as struct body_in's */
    size_t length;
    bool says_close;
};

static struct answer choose_answer(struct session *c)
{
    static const int statuses[] = { 200, 200, 200, 200, 201, 404, 500, 204, 304 };
    struct rng *r = &c->rng;
    struct answer a = { .status = statuses[rng_below(r, 9)] };

    a.framing = (uint8_t)(1 + rng_below(r, rng_chance(r, 300) ? 3 : 2));
    a.length = rng_chance(r, 60) ? rng_below(r, 200000) : rng_below(r, rng_chance(r, 300) ? 20000 : 300);
    a.empty = c->q->head || a.status == 204 || a.status == 304;
    a.says_close = a.framing == 3 || rng_chance(r, 80);
    c->receipt->status = (uint16_t)a.status;
    c->receipt->length = a.empty ? 0 : a.length;
    return a;
}

static size_t write_answer_head(struct session *c, const struct answer *a, char *out, size_t size)
{
    int n = snprintf(out, size, "HTTP/1.1 %d Fine\r\nX-Id: %u\r\nX-Which: %u\r\nX-Length: %zu\r\n", a->status, c->q->id, c->which, c->receipt->length);

    if (a->framing == 1 && a->status != 204)
        n += snprintf(out + n, size - (size_t)n, "Content-Length: %zu\r\n", a->length);
    if (a->framing == 2 && a->status != 204)
        n += snprintf(out + n, size - (size_t)n, "Transfer-Encoding: chunked\r\n");
    if (a->says_close)
        n += snprintf(out + n, size - (size_t)n, "Connection: close\r\n");
    n += snprintf(out + n, size - (size_t)n, "\r\n");
    return (size_t)n;
}

/* All of it as bytes, so that it can be cut anywhere.  *head_n: of its head. */
static char *make_answer(struct session *c, const struct answer *a, size_t *n, size_t *head_n)
{
    char *out = sim_alloc(a->length + 8192), *at = out + write_answer_head(c, a, out, 1000);
    size_t done = 0;

    *head_n = (size_t)(at - out);
    while (!a->empty && done < a->length) {
        size_t k = a->framing == 2 ? rng_between(&c->rng, 1 + (a->length - done) / 20, a->length - done) : a->length - done;
        if (a->framing == 2)
            at += sprintf(at, "%zx\r\n", k);
        pattern(at, k, c->q->id, c->which, done);
        at += k;
        done += k;
        if (a->framing == 2)
            at += sprintf(at, "\r\n");
    }
    if (!a->empty && a->framing == 2)
        at += sprintf(at, rng_chance(&c->rng, 200) ? "0\r\nX-Sum: 1\r\n\r\n" : "0\r\n\r\n");
    *n = (size_t)(at - out);
    return out;
}

static int send_interims(struct session *c, const struct head *h)
{
    char value[64];

    if (head_field(h, "Expect", value, sizeof value) != NULL && rng_chance(&c->rng, 800))
        return say(c, "HTTP/1.1 100 Continue\r\n\r\n");
    if (rng_chance(&c->rng, 60))
        return say(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    return 0;
}

/* True: the connection may go on. */
static bool answer_well(struct session *c)
{
    struct answer a = choose_answer(c);
    size_t n, head_n;
    char *bytes = make_answer(c, &a, &n, &head_n);
    int rc;

    c->receipt->kind = ANSWER_GOOD;
    rc = send_some(c, bytes, n);
    sim_free(bytes);
    return rc == 0 && !a.says_close;
}

/* ---- everything else ---- */

static void answer_cut(struct session *c, bool reset)
{
    struct answer a = choose_answer(c);
    size_t n, head_n;
    char *bytes;

    if (!reset && a.framing == 3)
        a.framing = 1; /* without a length, an end is an end */
    if (reset && !a.empty && rng_chance(&c->rng, 400))
        a.framing = 3;
    bytes = make_answer(c, &a, &n, &head_n);
    c->receipt->kind = ANSWER_CUT;
    (void)send_some(c, bytes, rng_chance(&c->rng, 400) ? rng_below(&c->rng, head_n) : rng_below(&c->rng, n));
    sim_free(bytes);
    if (rng_chance(&c->rng, 300))
        pause_for(&c->rng, 300 * CLOCK_MS);
    sim_close(c->s, reset);
}

static void answer_badly(struct session *c)
{
    static const struct {
        const char *line, *fields;
    } heads[] = {
        { "HTTP/1.1 2x0 Fine", "Content-Length: 0\r\n\r\n" },
        { "HTTP/1.1 200 Fine", "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab" },
        { "HTTP/1.1 200 Fine", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
        { "HTTP/1.1 200 Fine", "Bad Name: 1\r\nContent-Length: 0\r\n\r\n" },
        { "SSH-2.0-nothing", "\r\n" },
        { "HTTP/1.1 101 Now", "Connection: upgrade\r\nUpgrade: other\r\n\r\n" },
        { "HTTP/1.1 200 Fine", "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" },
    };
    unsigned i = (unsigned)rng_below(&c->rng, 7);
    char text[256];
    int n = snprintf(text, sizeof text, "%s\r\nX-Id: %u\r\n%s", heads[i].line, c->q->id, heads[i].fields);

    if (i == 5 && c->q->upgrade)
        return; /* there it would be well-formed: says nothing and closes */
    c->receipt->kind = ANSWER_BAD_HEAD;
    (void)send_some(c, text, (size_t)n);
}

static void answer_bad_chunk(struct session *c)
{
    char text[512];
    int n = snprintf(text, sizeof text, "HTTP/1.1 200 Fine\r\nX-Id: %u\r\nX-Which: %u\r\nX-Length: 8\r\nTransfer-Encoding: chunked\r\n\r\n", c->q->id, c->which);

    c->receipt->kind = c->q->head ? ANSWER_GOOD : ANSWER_BAD_BODY;
    c->receipt->status = 200;
    c->receipt->length = c->q->head ? 0 : 8;
    n += snprintf(text + n, sizeof text - (size_t)n, "4\r\n");
    pattern(text + n, 4, c->q->id, c->which, 0);
    n += 4;
    n += snprintf(text + n, sizeof text - (size_t)n, rng_chance(&c->rng, 500) ? "xx4\r\n" : "\r\n-4\r\n");
    (void)send_some(c, text, (size_t)n);
}

static void answer_huge_head(struct session *c)
{
    static const char line[] = "X-Filler: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n";

    c->receipt->kind = ANSWER_BAD_HEAD;
    if (say(c, "HTTP/1.1 200 Fine\r\n") < 0)
        return;
    for (int i = 0; i < 900; i++) /* 75 KiB */
        if (sim_send(c->s, line, sizeof line - 1, CLOCK_NEVER) < 0)
            return;
}

static void answer_many_interims(struct session *c)
{
    c->receipt->kind = ANSWER_BAD_HEAD;
    for (int i = 0; i < 100; i++)
        if (say(c, "HTTP/1.1 102 Wait\r\n\r\n") < 0)
            return;
}

/* The head and half of the body, and then nothing for long. */
static void answer_stalling(struct session *c)
{
    struct answer a = choose_answer(c);
    size_t n, head_n, half;
    char *bytes = make_answer(c, &a, &n, &head_n);

    c->receipt->kind = ANSWER_GOOD;
    half = rng_below(&c->rng, n);
    if (send_some(c, bytes, half) == 0) {
        (void)fiber_sleep(sim_now() + (int64_t)rng_below(&c->rng, 8 * CLOCK_S));
        (void)send_some(c, bytes + half, n - half);
    }
    sim_free(bytes);
}

/* A word nobody asked for behind a good answer, in the same packet: what comes later may be taken for the next answer, and
 * nobody could tell. */
static void answer_twice(struct session *c)
{
    struct answer a = choose_answer(c);
    size_t n, head_n;
    char *bytes = make_answer(c, &a, &n, &head_n);

    c->receipt->kind = ANSWER_GOOD;
    n += (size_t)sprintf(bytes + n, "HTTP/1.1 200 Fine\r\nX-Id: 999999\r\nX-Which: 0\r\nContent-Length: 0\r\n\r\n");
    if (a.framing != 3 || a.empty)
        sim_send_in_one(c->s, bytes, n);
    sim_free(bytes);
    pause_for(&c->rng, CLOCK_S);
}

/* After it the connection can't be used any more. */
static void misbehave(struct session *c)
{
    switch (rng_below(&c->rng, 12)) {
    case 0: break;
    case 1: sim_close(c->s, true); break;
    case 2: (void)fiber_sleep(sim_now() + (int64_t)rng_below(&c->rng, 10 * CLOCK_S)); break;
    case 3:
    case 4: answer_cut(c, false); break;
    case 5:
    case 6: answer_cut(c, true); break;
    case 7: answer_badly(c); break;
    case 8: answer_bad_chunk(c); break;
    case 9: rng_chance(&c->rng, 500) ? answer_huge_head(c) : answer_many_interims(c); break;
    case 10: answer_stalling(c); break;
    case 11: answer_twice(c); break;
    }
}

/* ---- tunnels ---- */

/* Says back what comes, in other bytes.  Ends with the client's end. */
static void echo(struct session *c, uint32_t id)
{
    char in[PIECE], out[PIECE];
    size_t at = 0;

    for (;;) {
        ssize_t got = (ssize_t)(c->w.n < sizeof in ? c->w.n : sizeof in);

        if (got > 0) {
            memcpy(in, c->w.buf + c->w.at, (size_t)got);
            c->w.at += (size_t)got;
            c->w.n -= (size_t)got;
        } else {
            got = sim_recv(c->s, in, sizeof in, CLOCK_NEVER);
        }
        if (got <= 0)
            break;
        if (pattern_agrees(in, (size_t)got, id, TO_BACKEND, at) < (size_t)got)
            sim_fail("tunnel %u brings other bytes than were sent, after byte %zu", id, at);
        pattern(out, (size_t)got, id, ECHO, at);
        at += (size_t)got;
        if (rng_chance(&c->rng, 50))
            pause_for(&c->rng, 30 * CLOCK_MS);
        if (sim_send(c->s, out, (size_t)got, CLOCK_NEVER) < 0)
            break;
    }
}

static void upgrade(struct session *c)
{
    char text[256];
    int n = snprintf(text, sizeof text, "HTTP/1.1 101 Switching\r\nX-Id: %u\r\nX-Which: %u\r\nConnection: upgrade\r\nUpgrade: sim\r\n\r\nhello", c->q->id, c->which);

    c->receipt->kind = ANSWER_UPGRADE;
    c->receipt->status = 101;
    if (send_some(c, text, (size_t)n) == 0)
        echo(c, c->q->id);
}

/* ---- a connection ---- */

/* True: another request may come. */
static bool serve(struct session *c, const struct head *h)
{
    const struct backend_plan *plan = &world.backend[c->backend];
    bool bad = rng_chance(&c->rng, plan->bad), early = plan->bad > 0 && rng_chance(&c->rng, 100);

    if (bad && rng_chance(&c->rng, 300)) {
        misbehave(c);
        return false;
    }
    if (send_interims(c, h) < 0)
        return false;
    if (early) { /* the rest of the body comes in afterwards, or is left lying */
        if (!answer_well(c) || rng_chance(&c->rng, 300))
            return false;
        return read_body(c, h) == 0;
    }
    if (read_body(c, h) != 0)
        return false;
    if (rng_chance(&c->rng, 300))
        pause_for(&c->rng, (rng_chance(&c->rng, 200) ? 400 : 30) * CLOCK_MS);
    if (bad) {
        misbehave(c);
        return false;
    }
    if (c->q->upgrade && rng_chance(&c->rng, 700)) {
        upgrade(c);
        return false;
    }
    return answer_well(c);
}

static void session_http(struct session *c)
{
    struct rng r = rng_of(RNG_BACKEND, (uint64_t)(uintptr_t)c->which);
    struct head h;

    for (bool first = true;; first = false) {
        bool closes = !first && rng_chance(&r, world.backend[c->backend].close_idle);

        c->w.deadline = closes ? (int64_t)rng_below(&r, rng_chance(&r, 500) ? 20 * CLOCK_MS : 3 * CLOCK_S) : CLOCK_NEVER;
        if (read_request(c, &h) != 1)
            return;
        c->w.deadline = CLOCK_NEVER;
        if (!serve(c, &h))
            return;
    }
}

static void session_tcp(struct session *c)
{
    enum { DIGITS = 8 };
    char id[DIGITS + 1] = "";
    size_t n = 0;

    while (n < DIGITS) {
        ssize_t got = sim_recv(c->s, id + n, DIGITS - n, CLOCK_NEVER);
        if (got <= 0)
            return;
        n += (size_t)got;
    }
    c->rng = rng_of(RNG_TRY, strtoul(id, NULL, 10));
    echo(c, (uint32_t)strtoul(id, NULL, 10));
}

/* Taken note of, so that the end of the world finds all. */
static struct sock *sessions[4096];
static unsigned n_sessions;

static void session_run(void *arg)
{
    struct session *c = arg;

    c->w.s = c->s;
    if (c->backend == BACKENDS_MOST)
        session_tcp(c);
    else
        session_http(c);
    sim_close(c->s, !world.calm && rng_chance(&c->rng, 100));
    wire_free(&c->w);
    sim_free(c);
}

static void listen_run(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    uint16_t port = (uint16_t)(i == BACKENDS_MOST ? ECHO_PORT : BACKEND_PORT + i);
    struct rng r = rng_of(RNG_BACKEND, 1000 + i);

    while (!world.ending) {
        int64_t until = world.backend[i].flaps ? sim_now() + (int64_t)rng_below(&r, 3 * CLOCK_S) : CLOCK_NEVER;
        struct sock *s;

        world.backend_sock[i] = sim_listen(port);
        while ((s = sim_accept(world.backend_sock[i], until)) != NULL) {
            struct session *c = sim_alloc(sizeof *c);
            *c = (struct session){ .backend = i, .s = s, .which = n_sessions, .rng = rng_of(RNG_BACKEND, 2000 + n_sessions) };
            if (n_sessions == sizeof sessions / sizeof sessions[0])
                sim_fail("more than %u connections to backends", n_sessions);
            sessions[n_sessions++] = s;
            sim_go("sim session", session_run, c);
        }
        sim_close(world.backend_sock[i], false);
        if (!world.ending)
            pause_for(&r, 2 * CLOCK_S);
    }
}

void backends_start(void)
{
    n_sessions = 0;
    for (unsigned i = 0; i < world.n_backends; i++)
        if (!world.backend[i].down)
            sim_go("sim backend", listen_run, (void *)(uintptr_t)i);
    sim_go("sim echo", listen_run, (void *)(uintptr_t)BACKENDS_MOST);
}

void backends_end(void)
{
    world.ending = true;
    for (unsigned i = 0; i <= BACKENDS_MOST; i++)
        if (world.backend_sock[i] != NULL)
            sim_close(world.backend_sock[i], false);
    for (unsigned i = 0; i < n_sessions; i++)
        sim_close(sessions[i], false);
}
