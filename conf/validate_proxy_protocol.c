/* validate_proxy_protocol.c - whose header is believed, and whose connections can be announced. */
#include "conf/validate_proxy_protocol.h"

#include "net/proxy_protocol.h"

/* A key of a listener or pool. */
struct proxy_spot {
    const struct conf_node *node; /* NULL: not written */
    struct key_path list, item, key;
    struct walk_at at;
};

static void find(struct proxy_spot *sp, const struct conf_node *root, const char *list, size_t i, const char *key)
{
    const struct conf_node *item = &node_find(root, list)->v[i];

    sp->node = node_find(item, key);
    sp->list = (struct key_path){ .name = list };
    sp->item = walk_item_path(&sp->list, item, i);
    sp->key = (struct key_path){ .up = &sp->item, .name = key };
    sp->at = (struct walk_at){ &sp->key, sp->node != NULL ? sp->node->at : item->at };
}

static void check_listener(struct walk *w, const struct conf_node *root, size_t i, const struct listener_conf *l)
{
    struct proxy_spot from;

    find(&from, root, "listeners", i, "proxy_protocol_from");
    if (l->accept_proxy_protocol && (from.node == NULL || (node_is_sequence(from.node) && from.node->n == 0)))
        walk_error(
            w, from.at,
            "%s; whoever may send the header may say who the client is: write the proxies' networks, like [ \"10.0.0.0/8\" ]",
            from.node != NULL ? "is empty" : "is missing with accept_proxy_protocol");
    if (!l->accept_proxy_protocol && from.node != NULL)
        walk_warning(w, from.at, "has no effect without accept_proxy_protocol = true");
}

static void check_pool(struct walk *w, const struct conf_node *root, size_t i, struct pool_conf *p)
{
    struct proxy_spot send;

    if (p->send_proxy_protocol == PROXY_SEND_OFF)
        return;
    find(&send, root, "pools", i, "send_proxy_protocol");
    if (p->protocol != POOL_HTTP1)
        walk_error(
            w, send.at,
            "can't be had with protocol = \"%s\": many clients share an HTTP/2 connection, and the header names one; write \"http/1.1\"",
            p->protocol == POOL_H2 ? "h2" : "auto");
    /* What is asked elsewhere is another service, and gets no header. */
    if (p->health != NULL && p->health->port == 0 && p->health->address.len == 0)
        p->health->send_proxy_protocol = p->send_proxy_protocol;
}

void validate_proxy_protocol(struct walk *w, const struct conf_node *root, struct snapshot *s)
{
    for (size_t i = 0; i < s->n_listeners; i++)
        check_listener(w, root, i, &s->listeners[i]);
    for (size_t i = 0; i < s->n_pools; i++)
        check_pool(w, root, i, &s->pools[i]);
}
