/* answer.c - answers of the proxy's own: errors, fixed responses, redirects. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/must.h"
#include "http/date_field.h"
#include "proxy/exchange.h"
#include "proxy/grpc.h"
#include "proxy/redirect.h"

enum { FIELDS_MOST = 8, WRITE_PATIENCE_S = 30 };

static void answer_init(struct message *m, struct header *fields, unsigned status)
{
    *m = (struct message){ .status = (uint16_t)status, .minor = 1, .headers = fields, .cap_headers = FIELDS_MOST };
    m->reason = slice_str(h1_reason(status));
}

/* A request body that nobody read: what is at hand is passed over, more of it would be taken for the next request. */
static bool body_is_out_of_the_way(struct exchange *x)
{
    struct body b;

    if (x->sent_up)
        return x->upload == NULL && x->client->body_done;
    if (x->req.expect_continue && x->req.framing != FRAMING_NONE)
        return false; /* it waits for a word from us before it sends */
    do {
        if (x->client->ops->read_body(x->client, &b, 0) < 0)
            return false;
    } while (!b.last && b.data.n > 0);
    return b.last;
}

static enum persist persist(const struct exchange *x)
{
    if (!x->keep_alive)
        return PERSIST_CLOSE;
    return x->request_was_read && x->req.minor == 0 ? PERSIST_TELL : PERSIST_DEFAULT;
}

int answer_send(struct exchange *x, struct message *m, struct slice body)
{
    bool head = x->request_was_read && x->req.method == METHOD_HEAD;
    struct head_frame f = { .framing = FRAMING_LENGTH, .content_length = body.n, .date = date_field(fiber_now()) };
    struct body b = { .data = body, .last = true };
    int rc = 0;

    if (conn_must_end(x->conn) || (x->keep_alive && !body_is_out_of_the_way(x)))
        x->keep_alive = false;
    f.persist = persist(x);
    if (x->grpc && body.n == 0)
        f.framing = FRAMING_NONE;
    if (head || m->status == 304 || m->status == 204)
        b.data.n = 0;
    if (m->status == 204 || m->status == 304)
        f.framing = FRAMING_NONE;
    if (x->route != NULL || x->listener->response_headers.n > 0) {
        rc = header_rules_apply(&x->listener->response_headers, m, x->arena);
        if (rc == 0 && x->route != NULL)
            rc = header_rules_apply(&x->route->response_headers, m, x->arena);
    }
    if (rc < 0)
        return rc;
    fiber_doing("answering the client");
    x->status = m->status;
    x->head_sent = true;
    x->body_sent = b.data.n;
    rc = x->client->ops->write_head(x->client, m, &f, &b, deadline_in(WRITE_PATIENCE_S * CLOCK_S));
    if (rc == -ERR_TIMEOUT)
        return -ERR_CLIENT_WRITE_TIMEOUT;
    return rc < 0 ? -ERR_CLIENT_RESET : 0;
}

int answer_respond(struct exchange *x, const struct respond_conf *r)
{
    struct header fields[FIELDS_MOST];
    struct message m;

    if (exchange_would_mislead(x, r->status))
        return -ERR_UPGRADE_FAILED;
    answer_init(&m, fields, r->status);
    if (r->body[0] != '\0')
        (void)message_add(&m, SLICE("Content-Type"), slice_str(r->content_type));
    return answer_send(x, &m, slice_str(r->body));
}

int answer_redirect(struct exchange *x, const struct redirect_conf *r)
{
    struct header fields[FIELDS_MOST];
    struct buf to = { 0 };
    struct message m;
    int rc = redirect_location(r->to, &x->req, &to);

    answer_init(&m, fields, r->status);
    if (rc == 0)
        rc = message_add(&m, SLICE("Location"), buf_slice(&to));
    if (rc == 0)
        rc = answer_send(x, &m, SLICE(""));
    buf_free(&to);
    return rc;
}

int answer_redirect_https(struct exchange *x)
{
    static const struct redirect_conf r = { 308, "https://{host}{uri}" };

    if (x->req.authority.n == 0)
        return -ERR_BAD_HOST;
    if (x->req.path.n == 0 || x->req.path.p[0] != '/') /* OPTIONS * */
        return -ERR_BAD_TARGET;
    return answer_redirect(x, &r);
}

static const struct error_page *page_for(const struct snapshot *conf, unsigned status)
{
    const struct error_page *any = NULL;

    for (size_t i = 0; i < conf->n_error_pages; i++) {
        if (conf->error_pages[i].status == status)
            return &conf->error_pages[i];
        if (conf->error_pages[i].status == 0)
            any = &conf->error_pages[i];
    }
    return any;
}

/* Nobody is there any more: there is no one to answer. */
static bool client_is_gone(int rc)
{
    return rc == -ERR_CLIENT_CLOSED || rc == -ERR_CLIENT_RESET || rc == -ERR_CLIENT_WRITE_TIMEOUT || rc == -ERR_CANCELED;
}

/* gRPC's own: what went wrong stands in fields (trailers-only). */
static void answer_as_grpc(struct message *m, struct header *fields, int rc, char status[12])
{
    int n = snprintf(status, 12, "%u", grpc_status(rc));

    answer_init(m, fields, 200);
    (void)message_add(m, SLICE("content-type"), SLICE("application/grpc"));
    (void)message_add(m, SLICE("grpc-status"), slice_of(status, (size_t)n));
    (void)message_add(m, SLICE("grpc-message"), slice_str(err_text(rc)));
}

int answer_error(struct exchange *x, int rc)
{
    unsigned status = (unsigned)err_http_status(rc);
    const struct error_page *page;
    struct header fields[FIELDS_MOST];
    struct message m;
    char text[160], proxy_status[128];
    struct slice body;
    bool was;
    int sent;

    if (client_is_gone(rc)) {
        x->end = EXCHANGE_ABORT;
        return rc;
    }
    if (status == 0) {
        rc = -ERR_INTERNAL;
        status = 500;
    }
    if (!x->request_was_read || status == 408)
        x->keep_alive = false; /* where the next request would begin is not known */
    if (fiber_cause() != 0)
        x->keep_alive = false; /* the next one would be called off too */
    answer_init(&m, fields, status);
    page = page_for(x->conf, status);
    if (x->grpc) {
        answer_as_grpc(&m, fields, rc, text);
        body = SLICE("");
    } else if (page != NULL) {
        body = page->body;
        (void)message_add(&m, SLICE("Content-Type"), slice_str(page->content_type));
    } else {
        body = slice_of(text, (size_t)snprintf(text, sizeof text, "%u %s: %s\n", status, h1_reason(status), err_text(rc)));
        (void)message_add(&m, SLICE("Content-Type"), SLICE("text/plain; charset=utf-8"));
    }
    if (x->listener->proxy_status) {
        const char *type = err_proxy_status(rc);
        int n = type[0] != '\0'
                    ? snprintf(proxy_status, sizeof proxy_status, "weir; error=%s; details=\"%s\"", type, err_word(rc))
                    : snprintf(proxy_status, sizeof proxy_status, "weir; details=\"%s\"", err_word(rc));
        (void)message_add(&m, SLICE("Proxy-Status"), slice_of(proxy_status, (size_t)n));
    }
    if (status == 503 && !x->grpc)
        (void)message_add(&m, SLICE("Retry-After"), SLICE("1"));
    was = fiber_shield(true); /* whoever called the exchange off wants it to end, and to say so */
    sent = answer_send(x, &m, body);
    (void)fiber_shield(was);
    if (sent < 0)
        x->end = EXCHANGE_ABORT;
    return rc;
}
