/* client.c - a client's connection: one fiber writes its script, one reads the answers and judges them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/world.h"

enum { PIECE = 8192 };

static void pause_for(struct rng *r, int64_t most) { (void)fiber_sleep(sim_now() + (int64_t)rng_below(r, (uint64_t)most)); }

/* ---- writing ---- */

struct writer {
    struct client *c;
    struct rng rng;
    size_t sent;
};

/* False: the client will send nothing more. */
static bool send_some(struct writer *w, const char *bytes, size_t n)
{
    struct client *c = w->c;
    bool limited = c->end == CLIENT_RESETS || c->end == CLIENT_STALLS;

    while (n > 0 && !c->over) {
        size_t piece = rng_chance(&w->rng, c->slow ? 300 : 800) ? n : rng_between(&w->rng, 1, n);

        if (limited && w->sent + piece > c->end_after)
            piece = c->end_after - w->sent;
        if (sim_send(c->sock, bytes, piece, CLOCK_NEVER) < 0)
            return false;
        w->sent += piece;
        bytes += piece;
        n -= piece;
        if (limited && w->sent == c->end_after) {
            sim_trace("client %u %s", c->index, c->end == CLIENT_RESETS ? "resets" : "stalls");
            if (c->end == CLIENT_RESETS)
                sim_close(c->sock, true);
            return false;
        }
        if (n > 0 && rng_chance(&w->rng, c->slow ? 500 : 50))
            pause_for(&w->rng, (c->slow ? 100 : 20) * CLOCK_MS);
    }
    return !c->over;
}

static bool wait_until(struct client *c, bool (*is_so)(const struct client *), int64_t deadline)
{
    while (!is_so(c) && !c->over) {
        c->waiting = fiber_self();
        if (fiber_park(NULL, deadline) < 0)
            break;
    }
    c->waiting = NULL;
    return !c->over;
}

static void tell_writer(struct client *c)
{
    struct fiber *f = c->waiting;

    c->waiting = NULL;
    if (f != NULL)
        fiber_wake(f, 0);
}

static unsigned writing; /* the request that wait_until() is about; no yield between setting and asking */
static bool all_before_are_answered(const struct client *c) { return c->done >= writing; }

static const char *bad_line(struct rng *r)
{
    static const char *const lines[] = { "Bad Name: x\r\n",
                                         "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
                                         "Content-Length: 1\r\nContent-Length: 2\r\n",
                                         "X: \001\r\n",
                                         "Host: again\r\n",
                                         "Transfer-Encoding: gzip\r\n" };

    return lines[rng_below(r, 6)];
}

static size_t write_head(struct writer *w, const struct request *q, char *out, size_t size)
{
    int n = snprintf(out, size, "%s /r/%u HTTP/1.%d\r\nHost: sim\r\nX-Id: %u\r\n", q->method, q->id, q->old ? 0 : 1, q->id);

    if (q->framing == BODY_LENGTH)
        n += snprintf(out + n, size - (size_t)n, "Content-Length: %zu\r\n", q->length);
    if (q->framing == BODY_CHUNKED)
        n += snprintf(out + n, size - (size_t)n, "Transfer-Encoding: chunked\r\n");
    if (q->expect)
        n += snprintf(out + n, size - (size_t)n, "Expect: 100-continue\r\n");
    if (q->upgrade)
        n += snprintf(out + n, size - (size_t)n, "Connection: upgrade\r\nUpgrade: sim\r\n");
    else if (q->close && !q->old)
        n += snprintf(out + n, size - (size_t)n, "Connection: close\r\n");
    if (q->malformed)
        n += snprintf(out + n, size - (size_t)n, "%s", bad_line(&w->rng));
    n += snprintf(out + n, size - (size_t)n, "\r\n");
    return (size_t)n;
}

/* Into out, which has room for it. */
static size_t write_body(struct writer *w, const struct request *q, char *out)
{
    char *at = out;
    size_t done = 0;

    if (q->framing == BODY_LENGTH) {
        pattern(out, q->length, q->id, TO_BACKEND, 0);
        return q->length;
    }
    while (done < q->length) {
        size_t k = rng_between(&w->rng, 1 + (q->length - done) / 20, q->length - done);
        at += sprintf(at, "%zx%s\r\n", k, rng_chance(&w->rng, 20) ? ";ext=1" : "");
        pattern(at, k, q->id, TO_BACKEND, done);
        at += k;
        done += k;
        at += sprintf(at, "\r\n");
    }
    at += sprintf(at, rng_chance(&w->rng, 100) ? "0\r\nX-Trailer: 1\r\n\r\n" : "0\r\n\r\n");
    return (size_t)(at - out);
}

static bool may_go_on(const struct client *c) { return c->may_send_body >= writing + 1 || c->done > writing; }

/* A careful client waits for the 100, but not for ever. */
static bool send_request(struct writer *w, unsigned i)
{
    struct client *c = w->c;
    struct request *q = &c->script[i];
    char *bytes = sim_alloc(q->length + 16384);
    size_t n = write_head(w, q, bytes, 4096);
    bool go_on;

    if (q->expect) {
        go_on = send_some(w, bytes, n);
        n = 0;
        writing = i;
        if (go_on)
            go_on = wait_until(c, may_go_on, sim_now() + (int64_t)rng_below(&w->rng, CLOCK_S));
        if (go_on && q->answered && c->may_send_body < i + 1)
            go_on = false; /* the final answer came instead: nobody waits for the body */
        if (!go_on) {
            sim_free(bytes);
            return false;
        }
    }
    if (q->framing != BODY_NONE)
        n += write_body(w, q, bytes + n);
    sim_trace("client %u sends %s %u from fd %d", c->index, q->method, q->id, sim_fd(c->sock));
    go_on = send_some(w, bytes, n);
    sim_free(bytes);
    q->sent = go_on;
    return go_on;
}

static bool send_script(struct writer *w)
{
    struct client *c = w->c;

    for (unsigned i = 0; i < c->n; i++) {
        if (!c->pipelines || c->script[i].upgrade) {
            writing = i;
            if (!wait_until(c, all_before_are_answered, CLOCK_NEVER))
                return false;
            if (rng_chance(&w->rng, 300))
                pause_for(&w->rng, (rng_chance(&w->rng, 300) ? 3000 : 100) * CLOCK_MS);
        }
        if (c->over || !send_request(w, i))
            return false;
    }
    return true;
}

static bool send_tunnel(struct writer *w, uint32_t id, size_t n, bool announced)
{
    char *bytes = sim_alloc(n + 9);
    bool whole;

    if (announced)
        (void)snprintf(bytes, 9, "%08u", id);
    pattern(bytes + (announced ? 8 : 0), n, id, TO_BACKEND, 0);
    whole = send_some(w, bytes, n + (announced ? 8 : 0));
    sim_free(bytes);
    return whole;
}

static bool has_answered_all(const struct client *c) { return c->tunnel || c->done >= c->n; }

static void writer_run(void *arg)
{
    struct client *c = arg;
    struct writer w = { .c = c, .rng = rng_of(RNG_WRITER, c->index) };
    bool whole;

    if (c->tcp) {
        whole = c->script[0].sent = send_tunnel(&w, c->script[0].id, c->script[0].length, true);
    } else {
        whole = send_script(&w);
        if (whole && c->script[c->n - 1].upgrade && wait_until(c, has_answered_all, CLOCK_NEVER) && c->tunnel)
            whole = send_tunnel(&w, c->script[c->n - 1].id, c->script[c->n - 1].length, false);
        else if (c->script[c->n - 1].upgrade)
            whole = false;
    }
    if (whole && !c->over && (c->tcp || c->tunnel || c->end == CLIENT_HALF_CLOSES)) {
        sim_trace("client %u half-closes", c->index);
        sim_shutdown(c->sock);
    }
    c->writer_over = true;
}

/* ---- judging ---- */

/* Did this client, or somebody it depends on, do anything that excuses a failure? */
static bool must_succeed(const struct client *c, const struct request *q)
{
    return world.calm && q->idempotent && q->sent && (q->owed || !world.draining) && c->end != CLIENT_RESETS &&
           c->end != CLIENT_STALLS;
}

static void judge_missing(const struct client *c, unsigned i, int rc)
{
    const struct request *q = &c->script[i];

    sim_trace("client %u: no answer to %u (%d)", c->index, q->id, rc);
    if (must_succeed(c, q))
        sim_fail("%s %u was sent whole and has no answer (%s)", q->method, q->id, rc == SIM_END ? "closed" : "reset");
}

/* An answer of the proxy's own. */
static void judge_own(const struct client *c, const struct request *q, const struct head *h)
{
    if (h->status < 400)
        sim_fail("request %u got an answer with status %d that no backend gave", q->id, h->status);
    if (must_succeed(c, q))
        sim_fail("%s %u got %d of the proxy's own", q->method, q->id, h->status);
    if (world.calm && h->status != 502 && h->status != 503 && h->status != 504)
        sim_fail("%s %u got %d of the proxy's own", q->method, q->id, h->status);
}

static const struct receipt *receipt_of(const struct request *q, const struct head *h, unsigned *which)
{
    char value[64];
    const struct receipt *r;

    if (head_field(h, "X-Id", value, sizeof value) == NULL || strtoul(value, NULL, 10) != q->id)
        sim_fail("request %u got the answer of request %s", q->id, value);
    if (head_field(h, "X-Which", value, sizeof value) == NULL)
        sim_fail("request %u got an answer that no backend meant", q->id);
    *which = (unsigned)strtoul(value, NULL, 10);
    if (*which >= q->n_receipts || *which >= TRIES_SEEN)
        sim_fail("request %u got answer %u of %u", q->id, *which, q->n_receipts);
    r = &q->receipt[*which];
    if (r->status != h->status || r->kind == ANSWER_BAD_HEAD || r->kind == ANSWER_NONE)
        sim_fail("request %u got status %d of an answer that was %d, kind %d", q->id, h->status, r->status, r->kind);
    return r;
}

static void judge_end(const struct client *c, struct request *q, const struct receipt *r, size_t at, ssize_t end)
{
    sim_trace("client %u: answer to %u, %zu of %zu bytes (%zd)", c->index, q->id, at, r->length, end);
    if (end == WIRE_BAD)
        sim_fail("the answer to %u is malformed behind byte %zu", q->id, at);
    if (end != 0) {
        if (must_succeed(c, q))
            sim_fail("the answer to %s %u is cut after %zu of %zu bytes", q->method, q->id, at, r->length);
        return;
    }
    if (at != r->length)
        sim_fail("the answer to %u has %zu bytes instead of %zu and seems complete", q->id, at, r->length);
    if (r->kind == ANSWER_BAD_BODY || (r->kind == ANSWER_CUT))
        sim_fail("the answer to %u was cut or malformed and seems complete (%zu bytes)", q->id, at);
    q->ok = true;
}

/* ---- reading ---- */

struct reader {
    struct client *c;
    struct wire w;
    struct head h;
    bool own, whole; /* the last answer was the proxy's; came to its end */
};

/* True: it came whole. */
static bool read_answer_body(struct reader *d, struct request *q)
{
    char bytes[PIECE], value[64];
    bool own = head_field(&d->h, "X-Id", value, sizeof value) == NULL;
    const struct receipt *r = NULL;
    struct body_in b;
    unsigned which = 0;
    size_t at = 0;
    ssize_t got;

    d->own = own;
    if (own)
        judge_own(d->c, q, &d->h);
    else
        r = receipt_of(q, &d->h, &which);
    body_in_of(&b, &d->h, q->head || d->h.status == 204 || d->h.status == 304, true);
    while ((got = wire_body(&d->w, &b, bytes, sizeof bytes)) > 0) {
        if (r != NULL && pattern_agrees(bytes, (size_t)got, q->id, which, at) < (size_t)got)
            sim_fail("the answer to %u brings a wrong byte behind byte %zu", q->id,
                     at + pattern_agrees(bytes, (size_t)got, q->id, which, at));
        at += (size_t)got;
    }
    if (r != NULL)
        judge_end(d->c, q, r, at, got);
    else if (got == WIRE_BAD)
        sim_fail("the proxy's own answer to %u is malformed", q->id);
    return got == 0;
}

/* The final head; 1, or what ended it. */
static int read_final_head(struct reader *d, unsigned i)
{
    struct client *c = d->c;

    for (;;) {
        int rc = wire_head(&d->w, &d->h);

        if (rc == WIRE_BAD)
            sim_fail("request %u got a malformed head", c->script[i].id);
        if (rc != 1)
            return rc;
        if (d->h.status < 100)
            sim_fail("request %u got what is no answer: %.40s", c->script[i].id, d->h.text);
        if (d->h.status >= 200 || d->h.status == 101)
            return 1;
        if (c->script[i].old)
            sim_fail("request %u of HTTP/1.0 got an interim answer", c->script[i].id);
        if (d->h.status == 100) {
            c->may_send_body = i + 1;
            tell_writer(c);
        }
    }
}

/* The echo of all that was sent, then the end. */
static void read_tunnel(struct reader *d, struct request *q)
{
    char bytes[PIECE];
    size_t at = 0;
    ssize_t got;

    for (;;) {
        if (d->w.n > 0) {
            got = (ssize_t)(d->w.n < sizeof bytes ? d->w.n : sizeof bytes);
            memcpy(bytes, d->w.buf + d->w.at, (size_t)got);
            d->w.at += (size_t)got;
            d->w.n -= (size_t)got;
        } else {
            got = sim_recv(d->c->sock, bytes, sizeof bytes, CLOCK_NEVER);
        }
        if (got <= 0)
            break;
        if (pattern_agrees(bytes, (size_t)got, q->id, ECHO, at) < (size_t)got)
            sim_fail("tunnel %u brings back a wrong byte behind byte %zu", q->id, at);
        at += (size_t)got;
    }
    sim_trace("client %u: tunnel %u ends after %zu of %zu bytes (%zd)", d->c->index, q->id, at, q->length, got);
    if (world.calm && (got != SIM_END || at != q->length))
        sim_fail("tunnel %u ended after %zu of %zu bytes", q->id, at, q->length);
    if (got == SIM_END && at != q->length && at > 0)
        sim_fail("tunnel %u ended in good order after %zu of %zu bytes", q->id, at, q->length);
}

static bool says_close(const struct head *h)
{
    char value[64];

    return head_field(h, "Connection", value, sizeof value) != NULL && strcasestr(value, "close") != NULL;
}

static bool read_hello(struct reader *d, struct request *q)
{
    while (d->w.n < 5)
        if (wire_more(&d->w) <= 0)
            return false;
    if (memcmp(d->w.buf + d->w.at, "hello", 5) != 0)
        sim_fail("tunnel %u begins with other bytes than the backend's", q->id);
    d->w.at += 5;
    d->w.n -= 5;
    return true;
}

/* True: the next may come. */
static bool read_answer(struct reader *d, unsigned i)
{
    struct client *c = d->c;
    struct request *q = &c->script[i];
    int rc = read_final_head(d, i);
    bool whole;

    if (rc != 1) {
        judge_missing(c, i, rc);
        return false;
    }
    q->answered = true;
    sim_trace("client %u: status %d to %s %u", c->index, d->h.status, q->method, q->id);
    if (d->h.status == 101) {
        unsigned which;
        (void)receipt_of(q, &d->h, &which);
        if (!q->upgrade)
            sim_fail("request %u asked for no upgrade and got one", q->id);
        c->tunnel = true;
        q->length = 3000;
        tell_writer(c);
        if (read_hello(d, q))
            read_tunnel(d, q);
        else if (world.calm)
            sim_fail("tunnel %u ended before it began", q->id);
        return false;
    }
    whole = d->whole = read_answer_body(d, q);
    c->done = i + 1;
    tell_writer(c);
    if (whole && !says_close(&d->h) && q->old)
        sim_fail("the answer to %u of HTTP/1.0 does not end the connection", q->id);
    return whole && !says_close(&d->h);
}

static void read_answers(struct reader *d)
{
    struct client *c = d->c;
    struct rng r = rng_of(RNG_CLIENT, 5000 + c->index);
    char byte;
    unsigned i = 0;

    while (i < c->n && read_answer(d, i))
        i++;
    if (c->tunnel)
        return;
    /* it said that it closes, or the connection is gone: nothing more may come */
    if (i < c->n && c->script[i].head && d->own) /* it was so bad that the proxy couldn't even tell that it was a HEAD */
        return;
    if (i < c->n && c->script[i].answered && d->whole && (d->w.n > 0 || sim_recv(c->sock, &byte, 1, CLOCK_NEVER) > 0))
        sim_fail("bytes behind the last answer, to %u", c->script[i].id);
    if (i == c->n && d->w.n > 0)
        sim_fail("bytes behind the last answer, to %u", c->script[i - 1].id);
    if (i == c->n && rng_chance(&r, 300) && sim_recv(c->sock, &byte, 1, sim_now() + (int64_t)rng_below(&r, 5 * CLOCK_S)) > 0)
        sim_fail("bytes behind the last answer, to %u", c->script[i - 1].id);
}

static void client_run(void *arg)
{
    struct client *c = arg;
    struct reader *d = sim_alloc(sizeof *d);

    (void)fiber_sleep(sim_now() + c->starts);
    c->sock = sim_connect(c->tcp ? TCP_PORT : HTTP_PORT, 0x0a000200 + c->index % 3, CLOCK_NEVER);
    if (c->sock != NULL) {
        d->c = c;
        d->w.s = c->sock;
        d->w.deadline = CLOCK_NEVER;
        sim_go("sim writer", writer_run, c);
        if (c->tcp)
            read_tunnel(d, &c->script[0]);
        else
            read_answers(d);
        c->over = true;
        sim_close(c->sock, false);
        tell_writer(c);
    } else if (world.calm && !world.draining) {
        sim_fail("client %u can't connect", c->index);
    }
    wire_free(&d->w);
    sim_free(d);
    c->over = true;
    c->finished = sim_now();
    world.clients_left--;
}

void client_start(struct client *c) { sim_go("sim client", client_run, c); }

void client_note_drain(struct client *c)
{
    struct request *q = &c->script[c->done];

    if (c->sock != NULL && !c->over && c->done < c->n && q->sent && sim_has_arrived(c->sock))
        q->owed = true;
}
