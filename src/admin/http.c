/* http.c - the admin listener's pages. */
#include "admin/http.h"

#include "admin/registration.h"
#include "base/version.h"
#include "conf/snapshot.h"
#include "observe/prometheus.h"

static void index_page(const struct admin_host *host, struct small_reply *r)
{
    struct admin_view v;

    host->view(host->arg, &v);
    buf_printf(&r->body,
               "weir %s%s\n\n"
               "/metrics   for Prometheus\n"
               "/healthz   200 while requests are taken, 503 while draining\n"
               "/v1/pools/POOL/backends   backends that register themselves\n\n"
               "More: weir ctl -s %s status\n",
               version_text, v.draining ? ", draining" : "", v.conf->daemon.control);
}

static void healthz(const struct admin_host *host, struct small_reply *r)
{
    struct admin_view v;

    host->view(host->arg, &v);
    r->status = v.draining ? 503 : 200;
    buf_add(&r->body, v.draining ? "draining\n" : "ok\n");
}

static void metrics(const struct admin_host *host, struct small_reply *r)
{
    (void)host;
    r->content_type = PROMETHEUS_CONTENT_TYPE;
    prometheus_render(&r->body);
}

static const struct page {
    struct slice path;
    void (*write)(const struct admin_host *host, struct small_reply *r);
} pages[] = {
    { { "/", 1 }, index_page },
    { { "/healthz", 8 }, healthz },
    { { "/metrics", 8 }, metrics },
};

static void answer(const struct message *m, struct slice body, struct small_reply *r, void *arg)
{
    const struct page *page = NULL;

    if (registration_is(m->path)) {
        registration_answer(arg, m, body, r);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(pages); i++)
        if (slice_eq(m->path, pages[i].path))
            page = &pages[i];
    if (page == NULL) {
        r->status = 404;
        buf_add(&r->body, "there is only /, /healthz, /metrics and /v1/pools/POOL/backends\n");
    } else if (m->method != METHOD_GET && m->method != METHOD_HEAD) {
        r->status = 405;
        r->allow = "GET, HEAD";
        buf_add(&r->body, "only GET and HEAD\n");
    } else {
        page->write(arg, r);
    }
}

int admin_http_listen(struct admin_http *h, const struct addr *at, struct buf *why)
{
    return acceptor_listen(&h->acceptor, at, why);
}

int admin_http_start(struct admin_http *h, struct group *g, const struct admin_host *host)
{
    h->site = (struct small_site){
        .answer = answer, .arg = (void *)(uintptr_t)host, .body_most = REGISTRATION_BODY, .idle = SMALL_HTTP_DEADLINE
    };
    return acceptor_start(&h->acceptor, g, "admin", ADMIN_HTTP_MOST, small_http_serve, &h->site);
}

void admin_http_close(struct admin_http *h) { acceptor_close(&h->acceptor); }
