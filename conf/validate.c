/* validate.c - the order in which the parts of a configuration are checked: each by a file of its own. */
#include "conf/validate.h"

#include "conf/validate_parts.h"

void validate(struct walk *w, const struct conf_node *root, struct snapshot *s)
{
    struct check c = { .w = w, .s = s, .root = root };

    c.listeners = node_find(root, "listeners");
    c.routes = node_find(root, "routes");
    c.pools = node_find(root, "pools");
    validate_pools(&c);
    if (w->m->no_memory)
        return;
    validate_listeners(&c);
    validate_routes(&c);
    validate_groups(&c);
    validate_error_pages(&c);
    validate_tls(&c);
    validate_proxy_protocol(&c);
    validate_routes_useless(&c);
    validate_pools_unused(&c);
}
