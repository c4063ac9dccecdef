/* workload_api.c - asking for who we are, again and again. */
#include "daemon/workload_api.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/rand.h"
#include "conf/snapshot.h"
#include "daemon/renewal.h"
#include "daemon/supervisor.h"
#include "http/grpc_call.h"
#include "net/svid_message.h"
#include "net/tls_ctx.h"
#include "net/tls_svid.h"

#define START_MOST   (2 * CLOCK_S)
#define CONNECT_MOST (3 * CLOCK_S)
#define FIRST_MOST   (30 * CLOCK_S) /* for the first message of a stream, which comes "as soon as possible" */
#define LOOK_EVERY   CLOCK_S
#define PAUSE_LEAST  (250 * CLOCK_MS)
#define PAUSE_MOST   (30 * CLOCK_S)
enum { NEAR = 4 }; /* less than so much of its life is left: it should have been replaced at half of it */

/* ---- who wants it ---- */

static bool wants(const struct tls_party *p) { return p != NULL && tls_party_svid(p) != NULL; }

static bool is_wanted(const struct snapshot *conf)
{
    for (size_t i = 0; i < conf->n_listeners; i++)
        if (wants(conf->listeners[i].tls_party))
            return true;
    for (size_t i = 0; i < conf->n_pools; i++)
        if (wants(conf->pools[i].tls_party))
            return true;
    return false;
}

/* A reload may have taken it away, or asks elsewhere. */
static bool is_over(const struct workload_api *w)
{
    const struct snapshot *conf = w->supervisor->conf;

    return !is_wanted(conf) || !addr_equal(&w->at, &conf->daemon.workload_api_addr);
}

/* ---- a message ---- */

struct taking {
    struct slice message;
    char *why;
    int rc;
};

static void take_called(void *arg)
{
    struct taking *t = arg;

    t->rc = tls_svids_take(t->message, t->why, WORKLOAD_API_WHY);
}

static void something_came(struct workload_api *w)
{
    w->tried = true;
    event_raise(&w->first);
}

static void tell(struct workload_api *w, const char *event)
{
    char quoted[2 * WORKLOAD_API_WHY], at[ADDR_TEXT_MAX];

    something_came(w);
    if (strcmp(w->why, w->told) == 0)
        return;
    memcpy(w->told, w->why, sizeof w->told);
    log_error(event, "address=%s why=%s what was known before goes on", addr_format(&w->at, at),
              log_quote(quoted, sizeof quoted, slice_str(w->why)));
}

static void take(struct workload_api *w, struct slice message)
{
    struct taking t = { message, w->why, 0 };
    const struct tls_svids *now;

    fiber_on_thread_stack(take_called, &t); /* OpenSSL's readers need more than a fiber has */
    metric_add_at(METRIC_SVID_UPDATES, t.rc == 0 ? METRIC_RESULT_OK : METRIC_RESULT_FAILED, 1);
    if (t.rc < 0) {
        if (t.rc != -ERR_INVALID)
            (void)snprintf(w->why, sizeof w->why, "%s", err_text(t.rc));
        tell(w, "workload_api.refused");
        return;
    }
    w->pause = 0;
    w->told[0] = '\0';
    now = tls_svids_now();
    log_info("workload_api.identity", "id=%s ids=%zu trust_domains=%zu expires_in_s=%lld", now->svids[0].id, now->n_svids,
             now->n_bundles, (long long)(now->svids[0].not_after - clock_wall() / CLOCK_S));
    renewal_look(w->supervisor);
    something_came(w);
}

/* ---- a stream ---- */

static int failed(struct workload_api *w, int rc, const char *why)
{
    (void)snprintf(w->why, sizeof w->why, "%s", why);
    return rc;
}

static int ended(struct workload_api *w, const struct grpc_call *c)
{
    (void)snprintf(w->why, sizeof w->why, "grpc-status %d (%s)%s%s", c->status, grpc_code_word(c->status),
                   c->why[0] != '\0' ? ": " : "", c->why);
    return -ERR_CLOSED;
}

/* Until it ends.  0: a reload has ended it. */
static int follow(struct workload_api *w, struct grpc_call *c)
{
    int64_t first_until = clock_now() + FIRST_MOST;
    struct slice message;

    while (!is_over(w)) {
        int rc = grpc_call_read(c, &message, clock_now() + LOOK_EVERY);
        if (rc == 1) {
            take(w, message);
            first_until = CLOCK_NEVER;
        } else if (rc == 0) {
            return ended(w, c);
        } else if (rc != -ERR_TIMEOUT) {
            return failed(w, rc, c->why[0] != '\0' ? c->why : err_text(rc));
        } else if (clock_now() >= first_until) {
            return failed(w, rc, "no message in time");
        }
    }
    return 0;
}

static int session(struct workload_api *w)
{
    static const struct grpc_ask ask = { .authority = SLICE("localhost"),
                                         .path = SLICE("/SpiffeWorkloadAPI/FetchX509SVID"),
                                         .metadata = { SLICE("workload.spiffe.io"), SLICE("true") },
                                         .message_most = SVID_MESSAGE_MOST,
                                         .secret = true };
    struct grpc_call call;
    struct stream stream;
    int rc;

    w->at = w->supervisor->conf->daemon.workload_api_addr;
    fiber_doing("connecting to the Workload API");
    rc = stream_connect(&stream, &w->at, clock_now() + CONNECT_MOST);
    if (rc < 0)
        return failed(w, rc, err_text(rc));
    fiber_doing("listening to the Workload API");
    rc = grpc_call_open(&call, &stream, &ask, clock_now() + CONNECT_MOST);
    if (rc == 0) {
        rc = follow(w, &call);
        grpc_call_close(&call);
    } else {
        (void)failed(w, rc, err_text(rc));
    }
    stream_close(&stream);
    return rc;
}

static int64_t next_try(struct workload_api *w)
{
    w->pause = w->pause == 0 ? PAUSE_LEAST : w->pause * 2;
    if (w->pause > PAUSE_MOST)
        w->pause = PAUSE_MOST;
    return clock_now() + w->pause * 3 / 4 + (int64_t)rand_below((uint64_t)w->pause / 2);
}

static void ask(void *arg)
{
    struct workload_api *w = arg;
    int rc = 0;

    while (rc == 0) {
        if (!is_wanted(w->supervisor->conf)) {
            fiber_doing("waiting for TLS with an svid");
            rc = fiber_sleep(clock_now() + LOOK_EVERY);
            continue;
        }
        rc = session(w);
        if (rc == -ERR_CANCELED)
            return;
        if (rc < 0) {
            metric_add(METRIC_WORKLOAD_API_FAILURES, 1);
            tell(w, "workload_api.failed");
            fiber_doing("waiting to ask the Workload API again");
            rc = fiber_sleep(next_try(w));
        }
    }
}

/* ---- what is to be said of identities ---- */

static void tell_missing(struct workload_api *w)
{
    if (w->told_missing || !w->tried || !is_wanted(w->supervisor->conf))
        return;
    w->told_missing = true;
    log_warn("tls.no_identity", "workload_api=%s TLS with an svid fails until it has given one",
             w->supervisor->conf->daemon.workload_api);
}

static void tell_end(struct workload_api *w, const struct tls_svid *s)
{
    int64_t left = s->not_after - clock_wall() / CLOCK_S;

    if (left <= 0 && !w->told_over) {
        w->told_over = w->told_near = true;
        log_error("tls.identity_expired", "id=%s nobody accepts it any more", s->id);
    } else if (left <= (s->not_after - s->not_before) / NEAR && !w->told_near) {
        w->told_near = true;
        log_warn("tls.identity_expires", "id=%s in_s=%lld and the Workload API has given no new one", s->id, (long long)left);
    }
}

static void look(struct workload_api *w)
{
    const struct tls_svids *now = tls_svids_now();
    const struct tls_svid *first;

    if (now == NULL) {
        tell_missing(w);
        return;
    }
    if (w->version != tls_svids_version())
        w->told_near = w->told_over = false;
    w->version = tls_svids_version();
    first = &now->svids[0];
    for (size_t i = 1; i < now->n_svids; i++)
        if (now->svids[i].not_after < first->not_after)
            first = &now->svids[i];
    if (is_wanted(w->supervisor->conf))
        tell_end(w, first);
}

static void watch(void *arg)
{
    fiber_doing("watching identities");
    do
        look(arg);
    while (fiber_sleep(clock_now() + LOOK_EVERY) == 0);
}

int workload_api_start(struct workload_api *w, struct supervisor *s)
{
    int64_t until = clock_now() + START_MOST;
    int rc;

    *w = (struct workload_api){ .supervisor = s };
    rc = fiber_go(&s->group, "workload api", ask, w);
    while (rc == 0 && is_wanted(s->conf) && !w->tried && event_wait(&w->first, until) == 0)
        ;
    return rc < 0 ? rc : fiber_go(&s->group, "identities", watch, w);
}
