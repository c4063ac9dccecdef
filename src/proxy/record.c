/* record.c - what is kept of an exchange: counters and a line of the access log. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/metric.h"
#include "base/must.h"
#include "net/stream_tls.h"
#include "observe/access_log.h"
#include "proxy/exchange.h"
#include "proxy/listener.h"

static struct slice header_text(const struct message *m, enum header_id id)
{
    const struct header *h = message_find(m, id);

    return h == NULL ? SLICE("") : header_value_of(h);
}

/* `client` is where the address is written. */
static struct access_record record_of(const struct exchange *x, int64_t now, char client[IP_TEXT_MAX])
{
    struct access_record r = {
        .client = slice_of(client, ip_format(&x->client_ip, client)),
        .listener = slice_str(x->listener->name),
        .started = clock_wall() - (now - x->started),
        .duration_us = now - x->started,
        .first_byte_us = x->first_byte == 0 ? -1 : x->first_byte - x->started,
        .sent = x->body_sent,
        .received = x->client->bytes_in,
        .status = x->status,
        .reason = x->reason,
        .attempts = x->attempts,
        .major = x->req.h2 ? 2 : 1,
        .minor = x->req.h2 ? 0 : x->req.minor,
        .reused = x->reused,
    };

    if (x->conn != NULL && x->conn->stream.tls != NULL) {
        r.tls_version = stream_tls_version(&x->conn->stream);
        r.tls_name = stream_tls_name(&x->conn->stream);
        r.tls_identity = stream_tls_identity_text(&x->conn->stream);
    }
    if (x->request_was_read) {
        r.method = x->req.method_name;
        r.target = x->req.target;
        r.host = x->req.authority;
        r.referer = header_text(&x->req, HEADER_REFERER);
        r.user_agent = header_text(&x->req, HEADER_USER_AGENT);
        r.request_id = header_text(&x->req, HEADER_X_REQUEST_ID);
    }
    if (x->route != NULL)
        r.route = slice_str(x->route->name);
    if (x->pool != NULL)
        r.pool = slice_str(x->pool->conf->name);
    if (x->tried.n > 0)
        r.backend = slice_str(x->tried.v[(x->tried.n - 1) % TRIED_MOST]->name);
    return r;
}

static void write_line(const struct exchange *x, int64_t now)
{
    char client[IP_TEXT_MAX];
    struct access_record r = record_of(x, now, client);

    access_log_line(worker_self->index, &r);
}

/* A tunnel writes its line when it ends: by then the exchange and what its texts pointed into are gone. */
struct access_record *exchange_record_keep(const struct exchange *x)
{
    char client[IP_TEXT_MAX];
    struct access_record r = record_of(x, clock_now(), client), *kept;
    struct slice *texts[] = { &r.client, &r.method, &r.target, &r.host, &r.referer, &r.user_agent, &r.request_id, &r.listener, &r.route, &r.pool, &r.backend,
                               &r.tls_version, &r.tls_name, &r.tls_identity };
    size_t n = 0;
    char *at;

    if (!access_log_is_on())
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        n += texts[i]->n;
    kept = malloc(sizeof *kept + n);
    if (kept == NULL)
        return NULL;
    at = (char *)(kept + 1);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i]->n > 0)
            memcpy(at, texts[i]->p, texts[i]->n);
        texts[i]->p = at;
        at += texts[i]->n;
    }
    *kept = r;
    return kept;
}

void exchange_record(const struct exchange *x)
{
    int64_t now = clock_now();

    if (x->status != 0)
        metric_add_at(METRIC_REQUESTS, metric_status(x->status), 1);
    metric_observe(METRIC_REQUEST_SECONDS, now - x->started);
    if (x->first_byte != 0)
        metric_observe(METRIC_FIRST_BYTE_SECONDS, x->first_byte - x->sent_at);
    if (x->reason < 0)
        metric_add_at(METRIC_FAILURES, metric_reason(x->reason), 1);
    if (x->end != EXCHANGE_TUNNEL && access_log_is_on())
        write_line(x, now);
}
