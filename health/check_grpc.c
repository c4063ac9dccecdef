/*
 * check_grpc.c - a backend is well when grpc.health.v1.Health/Check says that it is serving.
 *
 * In clear HTTP/2 is spoken at once, over TLS when ALPN agrees on it.  The messages are small (health.proto of gRPC):
 *
 *     HealthCheckRequest  { string service = 1; }
 *     HealthCheckResponse { ServingStatus status = 1; }    0 UNKNOWN, 1 SERVING, 2 NOT_SERVING, 3 SERVICE_UNKNOWN
 *
 * As in protobuf generally, a status that is 0 is left out, the last one counts, and other fields are skipped.
 * Each probe has a connection of its own, for the reasons that an http check has one (check_http.c).
 */
#include <string.h>

#include "base/must.h"
#include "base/protobuf.h"
#include "health/dial.h"
#include "health/http_plan.h"
#include "http/grpc_call.h"
#include "net/stream_tls.h"

enum {
    ANSWER_MOST = 4096,
    SERVICE_MOST = 255,
    FIELD_SERVICE = 1,
    FIELD_STATUS = 1,
};
enum { UNKNOWN, SERVING, NOT_SERVING, SERVICE_UNKNOWN };
enum { CODE_OK = 0, CODE_NOT_FOUND = 5, CODE_UNIMPLEMENTED = 12 };

static const char *status_word(uint64_t status)
{
    static const char *const words[] = {
        [UNKNOWN] = "UNKNOWN", [SERVING] = "SERVING", [NOT_SERVING] = "NOT_SERVING", [SERVICE_UNKNOWN] = "SERVICE_UNKNOWN"
    };

    return status < ARRAY_LEN(words) ? words[status] : "one that nobody knows";
}

static size_t put_request(const struct check_conf *conf, char out[GRPC_REQUEST_MOST])
{
    size_t n = conf->service == NULL ? 0 : strlen(conf->service), head;

    if (n == 0)
        return 0;
    MUST(n <= SERVICE_MOST);
    head = pb_put_head(out, FIELD_SERVICE, n);
    memcpy(out + head, conf->service, n);
    return head + n;
}

/* 0, or -ERR_INVALID. */
static int read_status(struct slice message, uint64_t *status)
{
    struct pb_field f;
    int rc;

    *status = UNKNOWN;
    while ((rc = pb_next(&message, &f)) == 1)
        if (pb_is(&f, FIELD_STATUS, PB_VARINT))
            *status = f.value;
    return rc;
}

static enum probe_result call_failed(struct probe *p, const struct grpc_call *c, int code)
{
    if (code != -ERR_BAD_RESPONSE || c->why[0] == '\0')
        return dial_failed(p, code, "waiting for the answer");
    dial_detail(p, "%s", c->why);
    return PROBE_BAD_ANSWER;
}

static enum probe_result judge_code(struct probe *p, const struct grpc_call *c)
{
    switch (c->status) {
    case CODE_OK: dial_detail(p, "an answer without a message"); return PROBE_BAD_ANSWER;
    case CODE_NOT_FOUND: dial_detail(p, "grpc-status 5 (NOT_FOUND): the service is not known there"); break;
    case CODE_UNIMPLEMENTED: dial_detail(p, "grpc-status 12 (UNIMPLEMENTED): it has no grpc.health.v1.Health"); break;
    default:
        dial_detail(p, "grpc-status %d (%s)%s%s", c->status, grpc_code_word(c->status), c->why[0] != '\0' ? ": " : "", c->why);
    }
    return PROBE_STATUS;
}

/* The message counts when the call has ended well behind it. */
static enum probe_result read_answer(struct probe *p, struct grpc_call *c, int64_t deadline)
{
    struct slice message;
    uint64_t status;
    int rc = grpc_call_read(c, &message, deadline);

    if (rc < 0)
        return call_failed(p, c, rc);
    if (rc == 0)
        return judge_code(p, c);
    if (read_status(message, &status) < 0) {
        dial_detail(p, "the message is no HealthCheckResponse");
        return PROBE_BAD_ANSWER;
    }
    rc = grpc_call_read(c, &message, deadline);
    if (rc < 0)
        return call_failed(p, c, rc);
    if (rc > 0) {
        dial_detail(p, "more than one message");
        return PROBE_BAD_ANSWER;
    }
    if (c->status != CODE_OK)
        return judge_code(p, c);
    if (status == SERVING)
        return PROBE_OK;
    dial_detail(p, "its status is %s", status_word(status));
    return PROBE_STATUS;
}

static enum probe_result talk(struct probe *p, struct stream *s, int64_t deadline)
{
    const struct check_conf *conf = p->conf;
    const char *host = conf->host != NULL ? conf->host : p->host != NULL && p->host[0] != '\0' ? p->host : "localhost";
    char request[GRPC_REQUEST_MOST];
    struct grpc_ask ask = { .authority = slice_str(host),
                            .path = SLICE("/grpc.health.v1.Health/Check"),
                            .request = slice_of(request, put_request(conf, request)),
                            .message_most = ANSWER_MOST };
    struct grpc_call call;
    enum probe_result r;
    int rc;

    fiber_doing("sending the request");
    rc = grpc_call_open(&call, s, &ask, deadline);
    if (rc < 0)
        return dial_failed(p, rc, "sending the request");
    fiber_doing("waiting for the answer");
    r = read_answer(p, &call, deadline);
    grpc_call_close(&call);
    return r;
}

static enum probe_result probe(struct probe *p, int64_t deadline)
{
    struct stream *s;
    enum probe_result r;

    fiber_doing("connecting");
    r = dial_tls(p, "h2", &s, deadline);
    if (r != PROBE_OK)
        return r;
    if (s->tls != NULL && !slice_eq(stream_tls_protocol(s), SLICE("h2"))) {
        dial_detail(p, "ALPN does not agree on HTTP/2");
        r = PROBE_TLS;
    } else {
        r = talk(p, s, deadline);
    }
    dial_close(&s);
    return r;
}

static void check(struct check_conf *conf, struct check_complaints *to)
{
    const char *host = conf->host == NULL ? NULL : http_plan_wrong_host(conf->host);
    size_t n = 0;

    if (host != NULL)
        to->wrong(to, "host", 0, conf->host, host);
    if (conf->service == NULL)
        return;
    while (conf->service[n] > ' ' && conf->service[n] < 0x7f)
        n++;
    if (conf->service[n] != '\0' || n > SERVICE_MOST)
        to->wrong(to, "service", 0, conf->service, "a name of at most 255 bytes, without blanks, is right: \"package.Service\"");
}

static const char *const keys[] = { "host", "service", NULL };

const struct check_type check_grpc = { .name = "grpc", .keys = keys, .tls = CHECK_AS_POOL, .check = check, .probe = probe };
