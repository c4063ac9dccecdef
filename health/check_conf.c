/* check_conf.c - the rows of a health check, and what can be said of a definition as a whole. */
#include "health/check_conf.h"

#include <stdio.h>
#include <string.h>

#include "health/check_type.h"
#include "net/tls_ctx.h"

const struct conf_key check_keys[] = {
    { .name = "type",
      .offset = offsetof(struct check_conf, type_name),
      .type = CONF_TYPE_STR,
      .def = "tcp",
      .doc =
          "How a backend is asked: \"tcp\" (does it take a connection?), \"tls\" (does its TLS handshake succeed?), \"http\" (does it answer a request as it should? In HTTP/2 if the pool's protocol is \"h2\" and neither address, port nor tls is written here, else in HTTP/1.1) or \"grpc\" (does grpc.health.v1.Health/Check, in HTTP/2, answer SERVING?)." },
    CONF_KEY(check_conf, interval, TIME, "5s", "10ms", "1h",
             "From one probe of a backend to the next. Three times that while live requests succeed and none fails."),
    CONF_KEY(check_conf, timeout, TIME, "2s", "1ms", "5m",
             "The most that a probe takes, from connecting to the last byte of the answer."),
    CONF_KEY(
        check_conf, fast_interval, TIME, "1s", "10ms", "1h",
        "The interval while the state is changing or live traffic has met with something suspicious, if it is the shorter one."),
    CONF_KEY(check_conf, down_interval, TIME, "15s", "10ms", "1d",
             "While a backend is down, the interval doubles from probe to probe up to this one."),
    CONF_KEY(
        check_conf, rise, UINT, "2", "1", "100",
        "Probes in a row that must pass before a backend that was down is up. The very first probe of a backend decides alone."),
    CONF_KEY(check_conf, fall, UINT, "3", "1", "100", "Probes in a row that must fail before a backend that was up is down."),
    CONF_KEY(check_conf, jitter, UINT, "10", "0", "50",
             "By how many percent each interval is made longer or shorter by chance, so that probes don't bunch up."),
    CONF_KEY(check_conf, port, UINT, "0", "0", "65535", "The port that is asked. 0: the one of the traffic."),
    CONF_CUSTOM(
        check_conf, address, check_address_parse, NULL, true,
        "The address that is asked for every backend of the pool, as \"10.0.0.1\", \"10.0.0.1:8080\" or \"unix:/run/app.sock\"; without a port, at the backend's own. Unless written: the backend's."),
    CONF_KEY(check_conf, slow_start, TIME, "0", "0", "1h",
             "How long a backend that is new or has come back takes to its full share of the requests. 0: no time."),
    CONF_KEY(
        check_conf, tls, BOOL, "true", NULL, NULL,
        "http, grpc: speak TLS where the pool has `tls`, as that says. false: in clear, for example at another port. A \"tcp\" check is always in clear, a \"tls\" check never."),
    CONF_STR_OPTIONAL(
        check_conf, server_name,
        "tls, in a pool without `tls`: the name that is asked for (SNI); the certificate is not verified there. None unless written."),
    CONF_STR_OPTIONAL(check_conf, method, "http: the method. GET unless written."),
    CONF_STR_OPTIONAL(check_conf, path, "http: the path, with a query if there is one. \"/\" unless written."),
    CONF_STR_OPTIONAL(check_conf, host, "http, grpc: the Host field, or :authority. The backend's address unless written."),
    CONF_STRINGS(check_conf, headers, "http: more fields of the request, each \"NAME: VALUE\"."),
    CONF_STRINGS(check_conf, expect,
                 "http: the statuses that are good, each as \"200\", \"200-299\" or \"2xx\". [ \"200-399\" ] unless written."),
    CONF_STR_OPTIONAL(check_conf, body, "http: a text that the first 64K of the answer's body must contain."),
    CONF_STR_OPTIONAL(
        check_conf, body_regex,
        "http: a POSIX extended regular expression of at most 1000 bytes that must match in the first 64K of the answer's body. It has no back-references, and a { that is meant as such is written \\{."),
    CONF_STR_OPTIONAL(
        check_conf, service,
        "grpc: the name of the service whose health is asked for, \"package.Service\". Unless written: the server as a whole."),
    CONF_END,
};

static uint16_t port_of(const struct addr *a)
{
    if (a->sa.sa_family == AF_INET)
        return a->in.sin_port;
    return a->sa.sa_family == AF_INET6 ? a->in6.sin6_port : 0;
}

/* In network order; an address without ports stays as it is. */
static void set_port(struct addr *a, uint16_t port)
{
    if (a->sa.sa_family == AF_INET)
        a->in.sin_port = port;
    else if (a->sa.sa_family == AF_INET6)
        a->in6.sin6_port = port;
}

const char *check_address_parse(const char *text, void *addr, struct arena *a)
{
    const char *wrong = addr_parse(text, addr, a);
    char with_port[ADDR_TEXT_MAX];

    if (wrong == NULL || strncmp(text, "unix:", 5) == 0)
        return wrong;
    if (snprintf(with_port, sizeof with_port, "%s:1", text) >= (int)sizeof with_port || addr_parse(with_port, addr, a) != NULL)
        return wrong;
    set_port(addr, 0);
    return NULL;
}

bool check_address_is_whole(const struct addr *a) { return a->sa.sa_family == AF_UNIX || port_of(a) != 0; }

char *check_address_format(const struct addr *a, char out[ADDR_TEXT_MAX])
{
    (void)addr_format(a, out);
    if (a->len != 0 && !check_address_is_whole(a))
        *strrchr(out, ':') = '\0';
    return out;
}

struct addr check_target(const struct check_conf *conf, const struct addr *backend)
{
    struct addr to = conf->address.len != 0 ? conf->address : *backend;

    if (conf->port != 0)
        set_port(&to, htons((uint16_t)conf->port));
    else if (port_of(&to) == 0)
        set_port(&to, port_of(backend));
    return to;
}

bool check_conf_same(const struct check_conf *a, const struct check_conf *b)
{
    return conf_same_text(a->type_name, b->type_name) && a->port == b->port && addr_equal(&a->address, &b->address) &&
           conf_same_text(a->method, b->method) && conf_same_text(a->path, b->path) && conf_same_text(a->host, b->host) &&
           conf_same_texts(&a->headers, &b->headers) && conf_same_texts(&a->expect, &b->expect) &&
           conf_same_text(a->body, b->body) && conf_same_text(a->body_regex, b->body_regex) &&
           conf_same_text(a->service, b->service) && a->h2 == b->h2 && tls_party_same(a->tls_party, b->tls_party) &&
           a->send_proxy_protocol == b->send_proxy_protocol;
}

void check_conf_free(struct check_conf *conf)
{
    if (conf == NULL)
        return;
    if (conf->compiled != NULL)
        conf->type->forget(conf);
    conf->compiled = NULL;
    if (conf->owns_party)
        tls_party_free(&conf->tls_party);
    conf->tls_party = NULL;
}
