/* validate_proxy_protocol.c - whose header is believed, and whose connections can be announced. */
#include "conf/validate_parts.h"

#include "net/proxy_protocol.h"

static void check_listener(const struct check *c, size_t i)
{
    const struct listener_conf *l = &c->s->listeners[i];
    const struct conf_node *from = node_find(&c->listeners->v[i], "proxy_protocol_from"); /* NULL: not written */
    struct spot sp;

    (void)listener_at(c, &sp, i, "proxy_protocol_from");
    if (l->accept_proxy_protocol && (from == NULL || (node_is_sequence(from) && from->n == 0)))
        walk_error(
            c->w, sp.at,
            "%s; whoever may send the header may say who the client is: write the proxies' networks, like [ \"10.0.0.0/8\" ]",
            from != NULL ? "is empty" : "is missing with accept_proxy_protocol");
    if (!l->accept_proxy_protocol && from != NULL)
        walk_warning(c->w, sp.at, "has no effect without accept_proxy_protocol = true");
}

static void check_pool(const struct check *c, size_t i)
{
    struct pool_conf *p = &c->s->pools[i];
    struct spot sp;

    if (p->send_proxy_protocol == PROXY_SEND_OFF)
        return;
    if (p->protocol != POOL_HTTP1)
        walk_error(
            c->w, pool_at(c, &sp, i, "send_proxy_protocol"),
            "can't be had with protocol = \"%s\": many clients share an HTTP/2 connection, and the header names one; write \"http/1.1\"",
            p->protocol == POOL_H2 ? "h2" : "auto");
    /* What is asked elsewhere is another service, and gets no header. */
    if (p->health != NULL && p->health->port == 0 && p->health->address.len == 0)
        p->health->send_proxy_protocol = p->send_proxy_protocol;
}

void validate_proxy_protocol(const struct check *c)
{
    for (size_t i = 0; i < c->s->n_listeners; i++)
        check_listener(c, i);
    for (size_t i = 0; i < c->s->n_pools; i++)
        check_pool(c, i);
}
