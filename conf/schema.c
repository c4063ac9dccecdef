/* schema.c - every key of proxy.conf that is not a pool's. */
#include "conf/schema.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "conf/rules.h"

/* In the order of enum log_level, enum access_format, enum listener_mode and enum forwarded_mode (http/hop.h). */
static const char *const level_words[] = { "error", "warn", "info", "debug", NULL };
static const char *const format_words[] = { "combined", "json", NULL };
static const char *const mode_words[] = { "http", "tcp", NULL };
static const char *const forwarded_words[] = { "x-forwarded", "rfc7239", "both", "off", NULL };

const struct conf_key daemon_keys[] = {
    CONF_KEY(daemon_conf, workers, UINT, "0", "0", "1024", "Worker threads. 0: one a core."),
    CONF_STR_OPTIONAL(daemon_conf, user, "The user to become once the sockets are open. Without it the proxy stays who it is."),
    CONF_KEY(daemon_conf, control, STR, "/run/weir/control.sock", NULL, NULL,
             "Path of the control socket that `weir ctl` talks to, or \"off\"."),
    CONF_STR_OPTIONAL(daemon_conf, admin,
                      "Address of the admin listener (metrics, status), like \"127.0.0.1:9901\". Without it there is none."),
    CONF_KEY(daemon_conf, ticket_rotation, TIME, "12h", "1s", "7d",
             "How often the keys of TLS session tickets are replaced. The last keys still open tickets until the next time. They are in memory only."),
    CONF_STR_OPTIONAL(
        daemon_conf, workload_api,
        "Endpoint of the SPIFFE Workload API, which gives the identity of `tls` that has an `svid`: \"unix:/run/spire/sockets/agent.sock\" or \"tcp://127.0.0.1:8081\". Unless written: that of SPIFFE_ENDPOINT_SOCKET in the environment."),
    CONF_STR_OPTIONAL(daemon_conf, pid_file, "File to write the process id to."),
    CONF_END,
};

static const struct conf_key log_keys[] = {
    CONF_WORD(log_conf, level, level_words, "info", "The least important event of the daemon's own log that is still written."),
    CONF_KEY(log_conf, access, STR, "stdout", NULL, NULL,
             "Where the access log goes: \"off\", \"stdout\" or the path of a file."),
    CONF_WORD(log_conf, format, format_words, "combined", "How a line of the access log is written."),
    CONF_END,
};

static const struct conf_key limits_keys[] = {
    CONF_KEY(limits_conf, connections, UINT, "0", "0", "10000000",
             "The most connections of clients at once. 0: computed from the limit of open files and from memory."),
    CONF_KEY(limits_conf, per_client, UINT, "0", "0", "10000000",
             "The most connections of one client address at once. 0: no limit."),
    CONF_KEY(limits_conf, request_header, SIZE, "32K", "1K", "60K", "The largest request head; beyond it the answer is 431."),
    CONF_KEY(limits_conf, request_line, SIZE, "8K", "256", "60K",
             "The longest request line; beyond it the answer is 414. Never more than request_header."),
    CONF_KEY(limits_conf, headers, UINT, "100", "10", "1000",
             "The most header fields of a request; beyond it the answer is 431."),
    CONF_KEY(limits_conf, request_body, SIZE, "0", NULL, NULL,
             "The largest request body; beyond it the answer is 413. 0: no limit, bodies are streamed."),
    CONF_KEY(limits_conf, response_header, SIZE, "32K", "1K", "60K",
             "The largest head of a backend's answer; beyond it the answer is 502."),
    CONF_KEY(limits_conf, streams, UINT, "100", "1", "1000", "The most requests at once on one HTTP/2 connection."),
    CONF_KEY(limits_conf, connection_requests, UINT, "10000", "1", "4000000000",
             "The most requests of one connection; then it is ended in good order (Connection: close, or GOAWAY)."),
    CONF_END,
};

#define TIMEOUT(field, def, text) CONF_KEY(timeouts_conf, field, TIME, def, "10ms", "24h", text)
static const struct conf_key timeouts_keys[] = {
    TIMEOUT(tls_handshake, "5s", "For the TLS handshake with a client; on a listener with `sni`, for the ClientHello."),
    TIMEOUT(request_header, "10s", "For a whole request head, from its first byte; beyond it the answer is 408."),
    TIMEOUT(client_idle, "75s", "How long a client's connection may wait for its next request."),
    TIMEOUT(connect, "3s", "For a connection to a backend; then another backend is tried."),
    TIMEOUT(client_body, "30s", "Between two reads of a request body."),
    TIMEOUT(first_byte, "30s", "From the end of the request to the first byte of the backend's answer."),
    TIMEOUT(stream_idle, "5m", "How long an answer may stand still."),
    TIMEOUT(tunnel_idle, "1h", "How long a tunnel (tcp, WebSocket) may stand still."),
    TIMEOUT(connection_age, "1h", "How old a client's connection gets, 10 % more or less; then it is ended in good order."),
    TIMEOUT(drain, "30s", "How long requests may run on once the proxy is told to stop."),
    CONF_END,
};

const struct conf_key error_page_keys[] = {
    CONF_KEY(error_page, status, UINT, "0", "0", "599",
             "The status that it is for, 400 to 599. 0: all that have no page of their own."),
    { .name = "file",
      .offset = offsetof(struct error_page, path),
      .type = CONF_TYPE_STR,
      .doc =
          "The page; read when the configuration is loaded, from the folder of this file unless the path is absolute. .html, .json or else plain text." },
    CONF_END,
};

const struct conf_key top_keys[] = {
    CONF_GROUP(snapshot, log, log_keys, "What is written where."),
    CONF_GROUP(snapshot, limits, limits_keys, "What a client may ask for."),
    CONF_GROUP(snapshot, timeouts, timeouts_keys, "How long each step may take, from \"10ms\" to \"24h\"."),
    CONF_END,
};

const struct conf_key listener_keys[] = {
    CONF_STR_OPTIONAL(listener_conf, name, "What logs and metrics call it. Unless written: the address."),
    CONF_CUSTOM(listener_conf, bind, addr_parse, NULL, false,
                "Where to listen: \"0.0.0.0:80\", \"[::]:80\" or \"unix:/run/weir.sock\"."),
    CONF_WORD(listener_conf, mode, mode_words, "http", "Whether requests are read, or bytes are only passed on."),
    { .name = "pool",
      .offset = offsetof(struct listener_conf, pool_name),
      .type = CONF_TYPE_STR,
      .optional = true,
      .doc = "Where requests go that no route takes; without it they get a 404. With mode \"tcp\" it is a must." },
    CONF_WORD(
        listener_conf, forwarded, forwarded_words, "x-forwarded",
        "Which fields tell the backend about the client. What a client sent in them is replaced unless it is one of trusted_proxies."),
    CONF_KEY(listener_conf, via, BOOL, "true", NULL, NULL, "Add a Via field to requests and answers."),
    CONF_KEY(listener_conf, proxy_status, BOOL, "false", NULL, NULL,
             "Add a Proxy-Status field (RFC 9209) with the reason to errors of the proxy's own."),
    CONF_OPTIONAL(listener_conf, tls, tls_server_conf, tls_server_keys,
                  "TLS with clients, in both modes. Without it: in clear."),
    CONF_KEY(listener_conf, accept_proxy_protocol, BOOL, "false", NULL, NULL,
             "Connections from proxy_protocol_from begin with a header of the PROXY protocol (version 1 or 2), within timeouts.request_header, and their client is whom it names. Those without a valid one are closed."),
    CONF_KEY(listener_conf, redirect_https, BOOL, "false", NULL, NULL,
             "Answer every request with a redirect (308) to https://, same host and target. Routes are not asked."),
    CONF_KEY(listener_conf, sni, BOOL, "false", NULL, NULL,
             "With mode \"tcp\": choose by the name that the client's TLS asks for among the routes that have only `host` and `pool`; what none takes goes to `pool`. Without `tls` nothing is decrypted."),
    CONF_END,
};

static const struct conf_key respond_keys[] = {
    CONF_KEY(respond_conf, status, UINT, "200", "200", "599", "The status."),
    CONF_KEY(respond_conf, body, STR, "", NULL, NULL, "The body."),
    CONF_KEY(respond_conf, content_type, STR, "text/plain; charset=utf-8", NULL, NULL, "What the body is."),
    CONF_END,
};

static const struct conf_key redirect_keys[] = {
    CONF_KEY(redirect_conf, status, UINT, "308", "301", "308", "301, 302, 303, 307 or 308."),
    CONF_KEY(
        redirect_conf, to, STR, NULL, NULL, NULL,
        "Where to, like \"https://{host}{uri}\". {host} is without the port, {uri} is path and query, {path} and {query} are its parts."),
    CONF_END,
};

const struct conf_key route_keys[] = {
    CONF_STR_OPTIONAL(route_conf, name,
                      "What logs, metrics and `weir explain` call it. Unless written: \"route N\", counted from 1."),
    CONF_STRINGS(route_conf, host,
                 "Hosts, without port: \"api.example.com\", or \"*.example.com\" for all below it. Any unless written."),
    CONF_STR_OPTIONAL(
        route_conf, path,
        "\"/exact\", or \"/prefix/*\" for all below it. Any unless written. Compared in its plain spelling (dot segments resolved, doubled slashes merged, escaped letters and digits decoded). Escaped slashes (%2F) and path parameters (;x) are not interpreted: a backend that does so may see another path than the route did."),
    CONF_STRINGS(route_conf, methods, "Methods, like \"GET\". Any unless written."),
    { .name = "pool",
      .offset = offsetof(struct route_conf, pool_name),
      .type = CONF_TYPE_STR,
      .optional = true,
      .doc = "Where the request goes. A route has exactly one of pool, respond and redirect." },
    CONF_OPTIONAL(route_conf, respond, respond_conf, respond_keys, "An answer by the proxy itself."),
    CONF_OPTIONAL(route_conf, redirect, redirect_conf, redirect_keys, "A redirect."),
    CONF_OPTIONAL(route_conf, identity, identity_conf, identity_keys,
                  "Which clients may come in, by the certificate that they showed on a listener with client_auth."),
    { CONF_FIELD(route_conf, forwarded), .type = CONF_TYPE_WORD, .words = forwarded_words, .optional = true,
      .doc = "As on a listener. Unless written: as the listener says." },
    CONF_END,
};

static struct walk_at item_at(const struct key_path *path, const struct conf_node *item)
{
    return (struct walk_at){ path, item->at };
}

static void fill_header_rules(struct walk *w, const struct conf_node *node, struct walk_at at, struct header_rules *out)
{
    struct conf_strs texts = { 0 };

    if (node == NULL)
        return;
    walk_strings(w, node, at, &texts);
    out->v = walk_items(w, texts.n, sizeof *out->v);
    for (size_t i = 0; out->v != NULL && i < texts.n; i++) {
        struct key_path path = { .up = at.path, .index = i };
        const char *wrong = header_rule_parse(texts.v[i], &out->v[out->n]);
        if (wrong == NULL)
            out->n++;
        else if (node->v[i].type == NODE_STRING)
            walk_error(w, item_at(&path, &node->v[i]), "%s: %s", messages_quote(w->m, texts.v[i]), wrong);
    }
}

static void fill_listener_request_headers(struct walk *w, const struct conf_node *node, struct walk_at at, void *out)
{
    fill_header_rules(w, node, at, &((struct listener_conf *)out)->request_headers);
}

static void fill_listener_response_headers(struct walk *w, const struct conf_node *node, struct walk_at at, void *out)
{
    fill_header_rules(w, node, at, &((struct listener_conf *)out)->response_headers);
}

static void fill_route_request_headers(struct walk *w, const struct conf_node *node, struct walk_at at, void *out)
{
    fill_header_rules(w, node, at, &((struct route_conf *)out)->request_headers);
}

static void fill_route_response_headers(struct walk *w, const struct conf_node *node, struct walk_at at, void *out)
{
    fill_header_rules(w, node, at, &((struct route_conf *)out)->response_headers);
}

static unsigned protocol_of(const char *word)
{
    if (strcmp(word, "h2") == 0)
        return LISTENER_H2;
    return strcmp(word, "http/1.1") == 0 ? LISTENER_H1 : 0;
}

/* Unless written: both with TLS, where the client's ALPN decides, and HTTP/1.1 in clear. */
static void fill_usual_protocols(struct walk *w, struct listener_conf *l)
{
    static const char *const usual[] = { "h2", "http/1.1" };
    size_t first = l->tls != NULL ? 0 : 1;

    l->speaks = l->tls != NULL ? LISTENER_H1 | LISTENER_H2 : LISTENER_H1;
    l->protocols.v = walk_items(w, 2, sizeof *l->protocols.v);
    for (size_t i = first; l->protocols.v != NULL && i < 2; i++)
        l->protocols.v[l->protocols.n++] = usual[i];
}

static void fill_protocols(struct walk *w, const struct conf_node *node, struct walk_at at, void *out)
{
    struct listener_conf *l = out;
    struct conf_strs *texts = &l->protocols;

    if (node == NULL) {
        fill_usual_protocols(w, l);
        return;
    }
    walk_strings(w, node, at, texts);
    for (size_t i = 0; i < texts->n; i++) {
        struct key_path path = { .up = at.path, .index = i };
        if (node->v[i].type != NODE_STRING)
            continue;
        l->speaks |= protocol_of(texts->v[i]);
        if (protocol_of(texts->v[i]) == 0)
            walk_error(w, item_at(&path, &node->v[i]), "%s is not a protocol; it is one of \"h2\", \"http/1.1\"",
                       messages_quote(w->m, texts->v[i]));
    }
    if (node_is_sequence(node) && node->n == 0)
        walk_error(w, at, "is empty; write [ \"http/1.1\" ]");
}

static void fill_header_matches(struct walk *w, const struct conf_node *node, struct walk_at at, void *out)
{
    struct route_conf *r = out;
    struct conf_strs texts = { 0 };

    if (node == NULL)
        return;
    walk_strings(w, node, at, &texts);
    r->headers = walk_items(w, texts.n, sizeof *r->headers);
    for (size_t i = 0; r->headers != NULL && i < texts.n; i++) {
        struct key_path path = { .up = at.path, .index = i };
        const char *wrong = header_match_parse(texts.v[i], &r->headers[r->n_headers]);
        if (wrong == NULL)
            r->n_headers++;
        else if (node->v[i].type == NODE_STRING)
            walk_error(w, item_at(&path, &node->v[i]), "%s: %s", messages_quote(w->m, texts.v[i]), wrong);
    }
}

static void fill_backend(struct walk *w, const struct conf_node *item, struct walk_at at, struct backend_conf *b)
{
    const struct conf_node *address = item->type == NODE_STRING ? item : node_find(item, "address");

    if (item->type == NODE_STRING)
        walk_short(w, item, at, backend_keys, "address", b);
    else
        walk_group(w, item, at, backend_keys, NULL, b);
    if (b->backup && b->priority == 0)
        b->priority = 1;
    b->address_text = walk_strdup(w, address != NULL && address->type == NODE_STRING ? address->s : "");
}

static void fill_backends(struct walk *w, const struct conf_node *node, struct walk_at at, void *out)
{
    struct pool_conf *p = out;
    struct backend_conf *v;

    if (node == NULL && p->discovery != NULL)
        return;
    if (node == NULL) {
        walk_error(w, at, "is missing and has no default");
        return;
    }
    if (!walk_expect(w, node, at, node_is_sequence(node),
                     "backends are needed: [ \"10.0.0.1:80\" ] or ( { address = \"10.0.0.1:80\"; } )"))
        return;
    if (node->n == 0 && p->discovery == NULL)
        walk_error(w, at, "is empty; a pool needs at least one backend, or discovery");
    v = walk_items(w, node->n, sizeof *v);
    if (v == NULL)
        return;
    p->backends = (struct conf_list){ v, node->n };
    for (size_t i = 0; i < node->n; i++) {
        struct key_path path = { .up = at.path, .index = i };
        fill_backend(w, &node->v[i], item_at(&path, &node->v[i]), &v[i]);
    }
}

static void fill_hash(struct walk *w, const struct conf_node *node, struct walk_at at, void *out)
{
    walk_group(w, node, at, hash_keys, NULL, &((struct pool_conf *)out)->hash);
}

static void fill_networks(struct walk *w, const struct conf_node *node, struct walk_at at, struct networks *nets)
{
    struct conf_strs texts = { 0 };

    if (node == NULL)
        return;
    walk_strings(w, node, at, &texts);
    nets->v = walk_items(w, texts.n, sizeof *nets->v);
    for (size_t i = 0; nets->v != NULL && i < texts.n; i++) {
        struct key_path path = { .up = at.path, .index = i };
        const char *wrong = network_parse(texts.v[i], &nets->v[nets->n]);
        if (wrong == NULL)
            nets->n++;
        else if (node->v[i].type == NODE_STRING)
            walk_error(w, item_at(&path, &node->v[i]), "%s: %s", messages_quote(w->m, texts.v[i]), wrong);
    }
}

static void fill_trusted_proxies(struct walk *w, const struct conf_node *node, struct walk_at at, void *out)
{
    fill_networks(w, node, at, &((struct daemon_conf *)out)->trusted_proxies);
}

static void fill_proxy_protocol_from(struct walk *w, const struct conf_node *node, struct walk_at at, void *out)
{
    fill_networks(w, node, at, &((struct listener_conf *)out)->proxy_protocol_from);
}

const struct walk_special daemon_specials[] = {
    { "trusted_proxies", "array of strings", "none",
      "Networks whose Forwarded and X-Forwarded-* fields are believed: \"10.0.0.0/8\", a single address, or \"unix\". Behind them the client, for the access log and where client_ip is a key, is the last address in X-Forwarded-For that is none of them.",
      NULL, NULL, fill_trusted_proxies },
    { .name = NULL },
};

const struct walk_special listener_specials[] = {
    { "protocols", "array of strings", "with tls [ \"h2\", \"http/1.1\" ], in clear [ \"http/1.1\" ]", "What is spoken with clients: \"h2\", \"http/1.1\" or both. With TLS, ALPN decides; who offers none gets HTTP/1.1, or is refused where that is not spoken. In clear, \"h2\" means that a client may begin with it (prior knowledge).",
      NULL, NULL, fill_protocols },
    { "proxy_protocol_from", "array of strings", "none",
      "With accept_proxy_protocol, a must: the networks of the proxies that send the header, like trusted_proxies. From others nothing is taken for one: their connections are served as they come.",
      NULL, NULL, fill_proxy_protocol_from },
    { "request_headers", "array of strings", "none",
      "Changes to a request's fields on its way to the backend, in order: \"set NAME: VALUE\", \"add NAME: VALUE\", \"remove NAME\". A field that is set or removed doesn't come through as a trailer, either.",
      NULL, NULL, fill_listener_request_headers },
    { "response_headers", "array of strings", "none", "The same for answers.", NULL, NULL, fill_listener_response_headers },
    { .name = NULL },
};

const struct walk_special route_specials[] = {
    { "headers", "array of strings", "none",
      "Conditions that must all hold: \"NAME: VALUE\" (exactly), \"NAME: *\" or \"NAME\" (present).", NULL, NULL,
      fill_header_matches },
    { "request_headers", "array of strings", "none", "As on a listener; applied after the listener's.", NULL, NULL,
      fill_route_request_headers },
    { "response_headers", "array of strings", "none", "As on a listener; applied after the listener's.", NULL, NULL,
      fill_route_response_headers },
    { .name = NULL },
};

const struct walk_special pool_specials[] = {
    { "backends", "array of addresses, or list of groups", NULL,
      "The servers: [ \"10.0.0.1:80\", \"10.0.0.2:80\" ], or with settings ( { address = \"10.0.0.1:80\"; weight = 2; } ). A must without discovery.",
      backend_keys, NULL, fill_backends },
    { "hash", "group", "its defaults", "What a strategy that hashes goes by: requests of the same key go to the same backend.",
      hash_keys, NULL, fill_hash },
    { .name = NULL },
};

/* --- top level --- */

static bool is_list(struct walk *w, const struct conf_node *node, struct walk_at at)
{
    return walk_expect(w, node, at, node->type == NODE_LIST || (node->type == NODE_ARRAY && node->n == 0),
                       "a list of groups is needed: ( { ... }, { ... } )");
}

static void fill_listener(struct walk *w, const struct conf_node *node, struct walk_at at, struct listener_conf *l)
{
    const struct conf_node *bind = node_find(node, "bind");

    walk_group(w, node, at, listener_keys, listener_specials, l);
    l->file = node->at.file;
    l->line = node->at.line;
    l->bind_text = walk_strdup(w, bind != NULL && bind->type == NODE_STRING ? bind->s : "");
    if (l->name == NULL)
        l->name = l->bind_text;
}

static void fill_listeners(struct walk *w, const struct conf_node *node, struct walk_at at, void *out)
{
    struct snapshot *s = out;

    if (node == NULL) {
        walk_error(w, at, "is missing and has no default; write listeners = ( { bind = \"0.0.0.0:8080\"; pool = \"NAME\"; } );");
        return;
    }
    if (!is_list(w, node, at))
        return;
    if (node->n == 0)
        walk_error(w, at, "is empty; a proxy needs at least one listener");
    s->listeners = walk_items(w, node->n, sizeof *s->listeners);
    for (size_t i = 0; s->listeners != NULL && i < node->n; i++) {
        struct key_path path = walk_item_path(at.path, &node->v[i], i);
        fill_listener(w, &node->v[i], item_at(&path, &node->v[i]), &s->listeners[s->n_listeners++]);
    }
}

/* Host names are compared in lower case. */
static void lower_hosts(struct walk *w, struct conf_strs *hosts)
{
    for (size_t i = 0; i < hosts->n; i++) {
        char *copy = walk_strdup(w, hosts->v[i]);
        if (copy == NULL)
            return;
        for (char *p = copy; *p != '\0'; p++)
            if (*p >= 'A' && *p <= 'Z')
                *p = (char)(*p - 'A' + 'a');
        hosts->v[i] = copy;
    }
}

static void fill_route(struct walk *w, const struct conf_node *node, struct walk_at at, struct route_conf *r, size_t number)
{
    walk_group(w, node, at, route_keys, route_specials, r);
    r->file = node->at.file;
    r->line = node->at.line;
    lower_hosts(w, &r->host);
    if (r->name == NULL)
        r->name = arena_printf(w->arena, "route %zu", number);
    if (r->name == NULL)
        w->m->no_memory = true;
}

static void fill_routes(struct walk *w, const struct conf_node *node, struct walk_at at, void *out)
{
    struct snapshot *s = out;

    if (node == NULL || !is_list(w, node, at))
        return;
    s->routes = walk_items(w, node->n, sizeof *s->routes);
    for (size_t i = 0; s->routes != NULL && i < node->n; i++) {
        struct key_path path = walk_item_path(at.path, &node->v[i], i);
        fill_route(w, &node->v[i], item_at(&path, &node->v[i]), &s->routes[s->n_routes++], i + 1);
    }
}

static void fill_pools(struct walk *w, const struct conf_node *node, struct walk_at at, void *out)
{
    struct snapshot *s = out;

    if (node == NULL || !is_list(w, node, at))
        return;
    s->pools = walk_items(w, node->n, sizeof *s->pools);
    for (size_t i = 0; s->pools != NULL && i < node->n; i++) {
        struct key_path path = walk_item_path(at.path, &node->v[i], i);
        struct pool_conf *p = &s->pools[s->n_pools++];
        walk_group(w, &node->v[i], item_at(&path, &node->v[i]), pool_keys, pool_specials, p);
        p->file = node->v[i].at.file;
        p->line = node->v[i].at.line;
    }
}

static void fill_error_pages(struct walk *w, const struct conf_node *node, struct walk_at at, void *out)
{
    struct snapshot *s = out;

    if (node == NULL || !is_list(w, node, at))
        return;
    s->error_pages = walk_items(w, node->n, sizeof *s->error_pages);
    for (size_t i = 0; s->error_pages != NULL && i < node->n; i++) {
        struct key_path path = { .up = at.path, .index = i };
        walk_group(w, &node->v[i], item_at(&path, &node->v[i]), error_page_keys, NULL, &s->error_pages[s->n_error_pages++]);
    }
}

static void fill_daemon(struct walk *w, const struct conf_node *node, struct walk_at at, void *out)
{
    struct daemon_conf *d = &((struct snapshot *)out)->daemon;
    const struct conf_node *admin = node_find(node, "admin");
    struct key_path path = { .up = at.path, .name = "admin" };
    const char *wrong;

    walk_group(w, node, at, daemon_keys, daemon_specials, d);
    if (d->admin == NULL || admin == NULL)
        return;
    wrong = addr_parse(d->admin, &d->admin_addr, w->arena);
    if (wrong != NULL)
        walk_error(w, item_at(&path, admin), "%s: %s", messages_quote(w->m, d->admin), wrong);
}

static void fill_include_dir(struct walk *w, const struct conf_node *node, struct walk_at at, void *out)
{
    (void)out; /* load.c has read it before */
    if (node != NULL)
        (void)walk_expect(w, node, at, node->type == NODE_STRING, "a string is needed");
}

const struct walk_special top_specials[] = {
    { "daemon", "group", "its defaults", "The process.", daemon_keys, daemon_specials, fill_daemon },
    { "listeners", "list of groups", NULL, "Where clients connect.", listener_keys, listener_specials, fill_listeners },
    { "routes", "list of groups", "none",
      "Which request goes where: tried in the order of the file, the first that matches wins.", route_keys, route_specials,
      fill_routes },
    { "pools", "list of groups", "none", "Groups of backends.", pool_keys, pool_specials, fill_pools },
    { "error_pages", "list of groups", "none", "Pages for errors of the proxy's own.", error_page_keys, NULL, fill_error_pages },
    { "include_dir", "string", "none",
      "A folder, relative to this file's. The listeners, routes and pools of its *.conf files, in the order of their names, are appended to this file's.",
      NULL, NULL, fill_include_dir },
    { .name = NULL },
};

const char *schema_include_dir(const struct conf_node *root)
{
    const struct conf_node *node = node_find(root, "include_dir");

    return node != NULL && node->type == NODE_STRING ? node->s : NULL;
}

void schema_fill(struct walk *w, const struct conf_node *root, struct snapshot *s)
{
    walk_group(w, root, (struct walk_at){ NULL, root->at }, top_keys, top_specials, s);
}
