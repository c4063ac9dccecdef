/* pool_conf.c - the rows of a pool. */
#include "upstream/pool_conf.h"

#include "upstream/sticky.h"

static const char *const send_words[] = { "off", "v1", "v2", "v2-bare", NULL }; /* enum proxy_send */
static const char *const protocol_words[] = { "http/1.1", "h2", "auto", NULL }; /* enum pool_protocol */

const struct conf_key backend_keys[] = {
    CONF_CUSTOM(backend_conf, address, addr_parse, NULL, false,
                "Where the backend listens: \"10.0.0.1:8080\", \"[2001:db8::1]:8080\" or \"unix:/run/app.sock\"."),
    CONF_KEY(backend_conf, weight, UINT, "1", "0", "1000",
             "Its share of the requests, relative to the others. 0: no new requests."),
    CONF_KEY(backend_conf, backup, BOOL, "false", NULL, NULL,
             "Used only while too few other backends of the pool may be used (outlier.panic): priority 1."),
    CONF_KEY(backend_conf, priority, UINT, "0", "0", "9",
             "Backends of the lowest number share the requests. Those of the next one join them while too few of them are well (outlier.panic), and take over when none is."),
    CONF_KEY(backend_conf, max_connections, UINT, "0", "0", "1000000", "The most connections open to it at once, over all workers. Idle ones give way to a request that needs one. 0: no limit."),
    CONF_END,
};

static const struct conf_key keepalive_keys[] = {
    CONF_KEY(keepalive_conf, idle, UINT, "64", "0", "1000000",
             "Idle connections kept to each backend, shared by all workers. 0: none is reused."),
    CONF_KEY(keepalive_conf, timeout, TIME, "30s", "10ms", "1h",
             "How long an idle connection is kept. What the backend's own closes teach makes it shorter."),
    CONF_END,
};

const struct conf_key pool_keys[] = {
    CONF_KEY(pool_conf, name, STR, NULL, NULL, NULL, "What routes and listeners call it. Names are unique among pools."),
    { .name = "strategy",
      .offset = offsetof(struct pool_conf, strategy_name),
      .type = CONF_TYPE_STR,
      .def = "round_robin",
      .doc = "How a backend is chosen among those that may be used: round_robin, random, least_conn, p2c, ewma, ring_hash, "
             "maglev, rendezvous, or plugin:/path/x.so (docs/strategies.md says when to take which)." },
    CONF_OPTIONAL(pool_conf, discovery, discovery_conf, discovery_keys,
                  "Backends that are found while the proxy runs, beside those written in backends, which may then be left out."),
    CONF_OPTIONAL(pool_conf, tls, tls_client_conf, tls_client_keys, "TLS to the backends. `tls = { };` verifies their certificates by the system's authorities. Without it: in clear."),
    CONF_WORD(pool_conf, protocol, protocol_words, "http/1.1",
              "What is spoken with the backends. \"h2\": HTTP/2, with prior knowledge where there is no TLS. \"auto\": what they choose by ALPN; without TLS that is HTTP/1.1. A connection of HTTP/2 on which requests wait and nothing has come for 5 seconds is asked by a PING whether it lives; without a word for 5 more its requests have failed (backend_silent), and are sent elsewhere if they may be."),
    CONF_WORD(pool_conf, send_proxy_protocol, send_words, "off",
              "Begin each connection to a backend with a header of the PROXY protocol, which says whose it is. A kept connection then serves only the client's connection that it was opened for. \"v2\" also tells what TLS told of the client; \"v2-bare\" has addresses alone, for receivers that take only short headers (docs/proxy-protocol.md)."),
    CONF_GROUP(pool_conf, keepalive, keepalive_keys, "Connections kept open between requests."),
    CONF_GROUP(
        pool_conf, outlier, outlier_keys,
        "When failures of live requests take a backend out for a while. One that refuses a connection is out at once, until it takes one again."),
    CONF_OPTIONAL(
        pool_conf, health, check_conf, check_keys,
        "Backends are probed, and those that are down get no requests. `{ }` is a tcp check with its defaults. Unless written: no probes."),
    CONF_OPTIONAL(
        pool_conf, sticky, sticky_conf, sticky_keys,
        "A signed cookie that takes a client back to the backend that it was at, also one of weight 0 or one that is drained, as long as that is well and has room; then the strategy picks, and the cookie is set anew. The backend doesn't see the cookie. An answer that sets it is marked private, so that no shared cache hands one client's cookie to others."),
    CONF_END,
};
