/* explain.c - a request head from the words of a command line, read and routed like a live one, and told about. */
#include "proxy/explain.h"

#include <stdlib.h>
#include <strings.h>

#include "base/buf.h"
#include "base/err.h"
#include "http/h1_parse.h"
#include "net/client_hello.h"
#include "proxy/route.h"

struct explain {
    const struct snapshot *conf;
    const struct listener_conf *listener;
    struct buf head, text; /* the request's bytes; what is told */
    struct message m;
    struct arena arena;
    struct router *router;
};

static int refused(struct explain *e, const char *what, const char *why)
{
    buf_printf(&e->text, "%s: %s\n", what, why);
    return EXPLAIN_REFUSED;
}

/* --- the listener --- */

static int explain_pool_of_listener(struct explain *e, const struct message *m, struct slice path)
{
    if (e->listener->pool == NULL) {
        buf_printf(&e->text, "listener %s has no pool: %s\n", e->listener->name,
                   m != NULL ? "the answer is 404" : "the connection is closed");
        return EXPLAIN_NONE;
    }
    buf_printf(&e->text, "listener %s: what no route takes goes to its pool\n", e->listener->name);
    route_explain_pool(e->listener->pool, m, path, &e->text);
    return EXPLAIN_FOUND;
}

static const struct listener_conf *default_listener(const struct snapshot *conf)
{
    for (size_t i = 0; i < conf->n_listeners; i++)
        if (conf->listeners[i].mode == LISTENER_HTTP)
            return &conf->listeners[i];
    return conf->n_listeners > 0 ? &conf->listeners[0] : NULL;
}

static const char *what_it_asks(const struct listener_conf *l)
{
    if (l->mode != LISTENER_TCP)
        return "";
    return l->sni ? ", tcp: routes are asked by the name in the ClientHello" : ", tcp: routes are not asked";
}

static int choose_listener(struct explain *e, const char *name)
{
    e->listener = name != NULL ? snapshot_listener(e->conf, name) : default_listener(e->conf);
    if (e->listener == NULL)
        return refused(e, name != NULL ? name : "listeners", "there is no such listener");
    buf_printf(&e->text, "listener %s (%s)%s\n", e->listener->name, e->listener->bind_text, what_it_asks(e->listener));
    return EXPLAIN_FOUND;
}

/* --- the request --- */

/* A byte that ends a word or a line would make another request of it than was meant. */
static bool is_one_word(const char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s <= ' ' || *s == 0x7f)
            return false;
    return true;
}

static bool is_one_line(const char *s) { return s[strcspn(s, "\r\n")] == '\0'; }

static bool names_host(const char *header) { return strncasecmp(header, "host:", 5) == 0; }

/* What a client makes of a URL: the host goes into Host, the rest into the request line.  NULL or what is wrong. */
static const char *split_url(const char *url, struct slice *host, struct buf *target)
{
    size_t scheme = strncasecmp(url, "http://", 7) == 0 ? 7 : strncasecmp(url, "https://", 8) == 0 ? 8 : 0;

    *host = (struct slice){ 0 };
    if (!is_one_word(url))
        return "blanks and control bytes stand percent-encoded in a URL";
    if (strchr(url, '#') != NULL)
        return "what follows # stays in the browser and is never sent; leave it out";
    if (scheme == 0 && url[0] != '/' && strcmp(url, "*") != 0)
        return "not a URL; write http://host/path, or /path";
    if (scheme > 0) {
        *host = slice_of(url + scheme, strcspn(url + scheme, "/?"));
        url += scheme + host->n;
        if (host->n == 0)
            return "the URL has no host";
        if (*url != '/')
            buf_add_char(target, '/');
    }
    buf_add(target, url);
    return NULL;
}

static int compose(struct explain *e, const char *method, const char *url, const char *const *headers, int n)
{
    struct buf target = { 0 };
    struct slice host;
    const char *wrong = split_url(url, &host, &target);
    bool has_host = false;

    for (int i = 0; i < n; i++)
        has_host = has_host || names_host(headers[i]);
    /* Without a host it can only be a request of HTTP/1.0. */
    buf_printf(&e->head, "%s %s HTTP/1.%d\r\n", method, target.n > 0 ? target.p : "", has_host || host.n > 0);
    if (host.n > 0 && !has_host)
        buf_printf(&e->head, "Host: " SLICE_FMT "\r\n", SLICE_ARG(host));
    e->head.failed = e->head.failed || target.failed;
    buf_free(&target);
    if (wrong != NULL)
        return refused(e, url, wrong);
    if (!is_one_word(method))
        return refused(e, method, "not a method; write GET, POST ...");
    for (int i = 0; i < n; i++) {
        if (!is_one_line(headers[i]))
            return refused(e, headers[i], "a header is one line");
        if (strchr(headers[i], ':') == NULL)
            return refused(e, headers[i], "not a header; write 'name: value'");
        buf_printf(&e->head, "%s\r\n", headers[i]);
    }
    buf_add(&e->head, "\r\n");
    return EXPLAIN_FOUND;
}

static int parse(struct explain *e)
{
    const struct limits_conf *l = &e->conf->limits;
    struct head_limits limits = { .head = (uint32_t)l->request_header,
                                .line = (uint32_t)l->request_line,
                                .headers = (uint16_t)l->headers };
    size_t seen = 0;
    int rc = -ERR_NOMEM;

    e->m.cap_headers = limits.headers;
    e->m.headers = arena_take(&e->arena, (limits.headers + 1u) * sizeof(*e->m.headers));
    if (e->m.headers != NULL && !e->head.failed)
        rc = h1_parse_request(&e->m, e->head.p, e->head.n, &seen, &limits);
    return rc >= 0 && (size_t)rc != e->head.n ? -ERR_BAD_REQUEST_LINE : rc;
}

/* As the live path would answer it. */
static int answered_with_error(struct explain *e, int rc)
{
    buf_printf(&e->text, "refused: %s; the answer is %d (reason=%s)\n", err_text(rc), err_http_status(rc), err_word(rc));
    return EXPLAIN_REFUSED;
}

/* --- the decision --- */

static int explain_route(struct explain *e)
{
    struct slice path;
    int rc = route_path(e->m.path, &e->arena, &path);

    if (rc < 0)
        return answered_with_error(e, rc);
    if (path.p != e->m.path.p) {
        buf_add(&e->text, "the path ");
        buf_add_json(&e->text, e->m.path);
        buf_add(&e->text, " is read as ");
        buf_add_json(&e->text, path);
        buf_add(&e->text, " (and forwarded as received)\n");
    }
    router_explain(e->router, &e->m, path, &e->text);
    return router_find(e->router, &e->m, path) != NULL ? EXPLAIN_FOUND : explain_pool_of_listener(e, &e->m, path);
}

/* TLS clients ask for no address by name (RFC 6066 3). */
static bool is_address(struct slice host)
{
    size_t n = 0;

    while (n < host.n && (host.p[n] == '.' || (host.p[n] >= '0' && host.p[n] <= '9')))
        n++;
    return n == host.n || host.p[0] == '[';
}

/* The connection that a client opens for that URL, to a listener that looks at no more than the name. */
static int explain_name(struct explain *e)
{
    struct slice host = route_host(e->m.authority), name = SLICE("");
    const struct route_conf *found;
    char text[CLIENT_HELLO_NAME];

    if (!is_address(host) && !client_hello_host(host, text, &name)) {
        buf_printf(&e->text, "refused: %s; the connection is closed (reason=%s)\n", err_text(-ERR_BAD_CLIENT_HELLO),
                   err_word(-ERR_BAD_CLIENT_HELLO));
        return EXPLAIN_REFUSED;
    }
    router_explain_name(e->router, name, &e->text);
    found = router_find_name(e->router, name);
    if (found == NULL)
        return explain_pool_of_listener(e, NULL, SLICE(""));
    return found->pool != NULL ? EXPLAIN_FOUND : EXPLAIN_NONE;
}

static int explain_request(struct explain *e, const char *method, const char *url, const char *const *headers, int n)
{
    bool by_name = e->listener->sni;
    int rc = compose(e, method, url, headers, by_name ? 0 : n); /* a name is the URL's, whatever Host says */

    if (rc != EXPLAIN_FOUND)
        return rc;
    rc = parse(e);
    if (rc < 0)
        return answered_with_error(e, rc);
    e->router = router_new(e->conf);
    if (e->router == NULL)
        return answered_with_error(e, -ERR_NOMEM);
    return by_name ? explain_name(e) : explain_route(e);
}

int explain_run(const struct snapshot *conf, const char *listener_name, const char *method, const char *url,
                const char *const *headers, int n, FILE *out)
{
    struct explain e = { .conf = conf };
    int rc;

    arena_init(&e.arena, NULL, 0);
    rc = choose_listener(&e, listener_name);
    if (rc == EXPLAIN_FOUND)
        rc = e.listener->mode == LISTENER_TCP && !e.listener->sni ? explain_pool_of_listener(&e, NULL, SLICE(""))
                                                                  : explain_request(&e, method, url, headers, n);
    if (e.text.failed) {
        rc = EXPLAIN_REFUSED;
        (void)fputs("out of memory\n", out);
    } else if (e.text.n > 0) {
        (void)fwrite(e.text.p, 1, e.text.n, out);
    }
    router_free(&e.router);
    arena_free(&e.arena);
    buf_free(&e.head);
    buf_free(&e.text);
    return rc;
}
