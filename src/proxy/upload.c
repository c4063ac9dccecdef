/* upload.c - the request's body on its way to a backend. */
#include "proxy/upload.h"

#include "base/err.h"
#include "net/splice.h"
#include "proxy/fault.h"

enum { REPLAY_MOST = 64 * 1024 };  /* of a request body, kept in case it must be sent again */
#define SLOW_WINDOW (30 * CLOCK_S) /* an upload below SLOW_RATE over this long is given up */
#define SLOW_RATE   500            /* bytes a second */

static void remember(struct exchange *x, const struct body *b)
{
    if (x->replay_lost)
        return;
    if (x->replay.n + b->data.n > REPLAY_MOST) {
        x->replay_lost = true;
        buf_free(&x->replay);
        return;
    }
    if (b->data.n > 0)
        buf_append(&x->replay, b->data.p, b->data.n);
    x->replay_whole = b->last;
    x->replay_trailers = b->trailers;
    x->replay_lost = x->replay.failed;
}

static bool body_is_too_large(const struct exchange *x)
{
    uint64_t most = x->conf->limits.request_body;

    return most != 0 && x->client->bytes_in > most;
}

static bool too_slow(struct upload *u, size_t n)
{
    int64_t now = fiber_now();

    u->in_window += n;
    if (now - u->window < SLOW_WINDOW)
        return false;
    if (u->in_window < SLOW_RATE * (uint64_t)(SLOW_WINDOW / CLOCK_S))
        return true;
    u->window = now;
    u->in_window = 0;
    return false;
}

/* The kernel tells a reset once: who reads the answer would find an end in good order. */
static int write_fault(struct exchange *x, int rc)
{
    x->was_reset |= rc == -ERR_RESET;
    return -fault_of_backend_write(rc);
}

/* 1: by splice; 0: not this time; <0 a code, then *cause. */
static int send_spliced(struct upload *u, int *cause)
{
    struct exchange *x = u->x;
    struct codec *to = x->backend;
    uint64_t left;
    struct stream *in = x->client->ops->raw_in(x->client, &left), *out = to->ops->raw_out(to);
    bool client_side;
    ssize_t n;

    if (in == NULL || out == NULL || left < SPLICE_LEAST) /* its length is known, and was admitted */
        return 0;
    x->replay_lost = true;
    buf_free(&x->replay);
    n = splice_some(in, out, left, exchange_timeouts(x)->stream_idle, &client_side,
                    deadline_in(exchange_timeouts(x)->client_body));
    if (n == -ERR_NOFILE)
        return 0;
    if (n <= 0) {
        *cause = client_side ? -fault_of_client_read(n == 0 ? -ERR_CLOSED : (int)n) : write_fault(x, (int)n);
        return -1;
    }
    x->client->ops->raw_moved(x->client, (uint64_t)n, true);
    to->ops->raw_moved(to, (uint64_t)n, false);
    if (!too_slow(u, (size_t)n))
        return 1;
    *cause = ERR_BODY_TIMEOUT;
    return -1;
}

/* One piece by copying; 1 more, 0 that was the last, <0: *cause. */
static int send_piece(struct upload *u, int *cause)
{
    struct exchange *x = u->x;
    struct body b;
    int rc = exchange_read_body(x, x->client, &b,
                                x->grpc ? exchange_timeouts(x)->stream_idle : exchange_timeouts(x)->client_body);

    if (rc < 0) {
        *cause = -fault_of_client_read(rc);
        return -1;
    }
    if (body_is_too_large(x)) {
        *cause = ERR_BODY_TOO_LARGE;
        return -1;
    }
    remember(x, &b);
    if (!x->grpc && too_slow(u, b.data.n) && !b.last) {
        *cause = ERR_BODY_TIMEOUT;
        return -1;
    }
    rc = x->backend->ops->write_body(x->backend, &b, deadline_in(exchange_timeouts(x)->stream_idle));
    if (rc < 0) {
        *cause = write_fault(x, rc);
        return -1;
    }
    return b.last ? 0 : 1;
}

/* It takes no more: its answer, or its end, is what counts. */
static bool backend_ended(int cause)
{
    switch (cause) {
    case ERR_BACKEND_RESET:
    case ERR_BACKEND_SILENT:
    case ERR_BACKEND_TLS_ALERT:
    case ERR_BAD_RESPONSE:
    case ERR_STREAM_REFUSED: return true;
    default: return false;
    }
}

static void upload_run(void *arg)
{
    struct upload *u = arg;
    int cause = 0, rc;

    fiber_about(&u->x->peer);
    fiber_doing("sending the request body");
    do {
        rc = send_spliced(u, &cause);
        if (rc == 1 && u->x->client->body_done)
            rc = -2;
        else if (rc == 0)
            rc = send_piece(u, &cause) == 1 ? 1 : cause != 0 ? -1 : -2;
    } while (rc == 1);
    u->done = rc == -2;
    u->ended = fiber_now();
    /* Something is wrong with what the client sends, or the backend takes nothing: the exchange ends for that reason. */
    if (!u->done && !backend_ended(cause) && cause != ERR_CANCELED && cause != 0)
        fiber_cancel(u->x->fiber, cause);
}

int upload_read_first(struct exchange *x)
{
    struct body first;
    int rc;

    if (x->req.framing == FRAMING_NONE)
        return 0;
    rc = exchange_read_first(x, x->client, &first);
    if (rc < 0)
        return fault_of_client_read(rc);
    if (body_is_too_large(x))
        return -ERR_BODY_TOO_LARGE;
    remember(x, &first);
    return x->replay_lost ? -ERR_NOMEM : 0; /* it leaves from there */
}

int upload_start(struct exchange *x, struct upload *u)
{
    if (x->req.framing == FRAMING_NONE || x->replay_whole)
        return 0;
    *u = (struct upload){ .x = x, .window = fiber_now() };
    group_init(&u->group);
    x->upload = u;
    return fiber_go(&u->group, "upload", upload_run, u);
}

void upload_end(struct exchange *x)
{
    bool was;

    if (x->upload == NULL)
        return;
    if (!x->upload->done) {
        x->keep_alive = false; /* the rest of the body would be taken for the next request */
        group_cancel(&x->upload->group, ERR_CANCELED);
    }
    was = fiber_shield(true);
    (void)group_join(&x->upload->group, CLOCK_NEVER);
    (void)fiber_shield(was);
}
