/* forwarded_for.c - X-Forwarded-For, from right to left. */
#include "proxy/forwarded_for.h"

enum { HOPS_MOST = 32 };

bool networks_have(const struct networks *n, const struct ip *ip)
{
    for (size_t i = 0; i < n->n; i++)
        if (network_has(&n->v[i], ip))
            return true;
    return false;
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

/* "192.0.2.1", "2001:db8::1", "[2001:db8::1]", and either with a port as some balancers write it. */
static bool parse(struct slice s, struct ip *out)
{
    const char *colon, *close;
    struct network n;
    char text[IP_TEXT_MAX];

    while (s.n > 0 && is_blank(s.p[0]))
        s = slice_of(s.p + 1, s.n - 1);
    while (s.n > 0 && is_blank(s.p[s.n - 1]))
        s.n--;
    if (s.n == 0)
        return false;
    colon = memchr(s.p, ':', s.n);
    close = memchr(s.p, ']', s.n);
    if (s.p[0] == '[' && close != NULL)
        s = slice_of(s.p + 1, (size_t)(close - s.p) - 1);
    else if (colon != NULL && memchr(colon + 1, ':', s.n - (size_t)(colon + 1 - s.p)) == NULL)
        s.n = (size_t)(colon - s.p);
    if (s.n == 0 || s.n >= sizeof text || memchr(s.p, '/', s.n) != NULL || memchr(s.p, '\0', s.n) != NULL)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (network_parse(text, &n) != NULL || n.base.family == 0)
        return false;
    *out = n.base;
    return true;
}

/* The members of all fields together, from the last to the first. */
struct backwards {
    const struct message *m;
    size_t field; /* those below have not been read */
    struct slice rest;
    bool more; /* in `rest` */
};

static bool previous(struct backwards *b, struct slice *member)
{
    size_t start;

    while (!b->more) {
        const struct header *h;
        if (b->field == 0)
            return false;
        h = &b->m->headers[--b->field];
        b->more = h->id == HEADER_X_FORWARDED_FOR && !h->dropped;
        b->rest = header_value_of(h);
    }
    start = b->rest.n;
    while (start > 0 && b->rest.p[start - 1] != ',')
        start--;
    *member = slice_of(b->rest.p + start, b->rest.n - start);
    b->more = start > 0;
    b->rest.n = start > 0 ? start - 1 : 0;
    return true;
}

struct ip forwarded_for(const struct networks *trusted, const struct message *m, const struct ip *peer)
{
    struct backwards b = { .m = m, .field = m->n_headers };
    struct ip ip = *peer, next;
    struct slice member;

    for (int i = 0; i < HOPS_MOST && networks_have(trusted, &ip) && previous(&b, &member) && parse(member, &next); i++)
        ip = next;
    return ip;
}
