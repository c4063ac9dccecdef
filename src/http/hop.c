/* hop.c - what an intermediary takes out of a head, and what it puts in. */
#include "http/hop.h"

#include <string.h>

#include "base/err.h"
#include "http/field_list.h"
#include "http/h1_scan.h"
#include "http/header_names.h"
#include "http/proxy_fields.h"
#include "net/stream_tls.h"

/* One Connection option means a pass over all fields; a head has no use for many. */
#define OPTIONS_MOST 64

/* End-to-end by nature, or handled by a rule of its own: listing it in Connection changes nothing. */
static bool is_beyond_connection(struct slice name)
{
    switch (header_id(name)) {
    case HEADER_OTHER: return slice_eq_nocase(name, SLICE("close")) || slice_eq_nocase(name, SLICE("authorization"));
    case HEADER_HOST:
    case HEADER_CONTENT_LENGTH:
    case HEADER_TRANSFER_ENCODING:
    case HEADER_TE:
    case HEADER_UPGRADE:
    case HEADER_KEEP_ALIVE:
    case HEADER_COOKIE:
    case HEADER_VIA:
    case HEADER_FORWARDED:
    case HEADER_X_FORWARDED_FOR:
    case HEADER_X_FORWARDED_PROTO:
    case HEADER_X_FORWARDED_HOST: return true;
    default: return false;
    }
}

/* A field of a name that nobody may set but a proxy that is believed. */
static bool is_not_for_clients(struct slice name, const struct hop_info *info)
{
    return (!info->trusted && is_x_forwarded(name)) || ((!info->trusted || info->identity != NULL) && is_client_cert(name));
}

/* Nearly all names are seen not to be one at their first letter. */
static inline bool may_be_not_for_clients(const struct header *h)
{
    return h->name_len > 10 && ((h->name[0] | 0x20) == 'x' || (h->name[0] | 0x20) == 'c');
}

/* Drops what one Connection field lists; counts its options. */
static bool drop_listed(struct message *m, struct slice value, unsigned *options)
{
    struct slice name;

    if (WORD_IS(value, "keep-alive") || WORD_IS(value, "close")) /* as nearly always: nothing to drop */
        return true;
    while (field_list_next(&value, &name)) {
        if (++*options > OPTIONS_MOST)
            return false;
        if (!is_beyond_connection(name) && !is_x_forwarded(name) && !is_client_cert(name))
            message_drop_name(m, name);
    }
    return true;
}

/* Fields are only marked, so a Connection field that lists "connection" is still read to its end, and so is the next one.
 * `first`: where the first Connection field stands. */
static bool drop_all_listed(struct message *m, size_t first)
{
    unsigned options = 0;

    for (size_t i = first; i < m->n_headers; i++)
        if (m->headers[i].id == HEADER_CONNECTION && !drop_listed(m, header_value_of(&m->headers[i]), &options))
            return false;
    return true;
}

/* What X-Forwarded-* and Forwarded of a trusted peer said, so as to continue it. */
struct received {
    unsigned x_for, forwarded; /* fields */
    size_t x_for_size, forwarded_size;
    const struct header *connection; /* the first of them */
    bool te, x_proto, x_host;
};

static void see_te(struct header *h, const struct message *m, struct received *got)
{
    h->dropped |= got->te || !m->te_trailers;
    if (h->dropped)
        return;
    got->te = true;
    h->value = "trailers"; /* any other coding would be for us to undo */
    h->value_len = 8;
}

static void see_field(struct header *h, const struct message *m, const struct hop_info *info, struct received *got)
{
    switch (h->id) {
    case HEADER_OTHER:
        if (may_be_not_for_clients(h) && is_not_for_clients(header_name_of(h), info))
            h->dropped = true;
        break;
    case HEADER_CONNECTION:
        if (got->connection == NULL)
            got->connection = h;
        h->dropped = true;
        break;
    case HEADER_HOST:
    case HEADER_CONTENT_LENGTH:
    case HEADER_TRANSFER_ENCODING:
    case HEADER_KEEP_ALIVE:
    case HEADER_PROXY_CONNECTION:
    case HEADER_TRAILER:
    case HEADER_HTTP2_SETTINGS: h->dropped = true; break;
    case HEADER_UPGRADE: h->dropped |= !m->upgrade; break;
    case HEADER_EXPECT: /* of an HTTP/1.0 client, which could not read the answer 100 */ h->dropped |= !m->expect_continue; break;
    case HEADER_TE: see_te(h, m, got); break;
    case HEADER_X_FORWARDED_FOR:
        h->dropped |= !info->trusted;
        got->x_for += !h->dropped;
        got->x_for_size += h->dropped ? 0 : h->value_len + 2u;
        break;
    case HEADER_FORWARDED:
        h->dropped |= !info->trusted;
        got->forwarded += !h->dropped;
        got->forwarded_size += h->dropped ? 0 : h->value_len + 2u;
        break;
    case HEADER_X_FORWARDED_PROTO:
        h->dropped |= !info->trusted;
        got->x_proto |= !h->dropped;
        break;
    case HEADER_X_FORWARDED_HOST:
        h->dropped |= !info->trusted;
        got->x_host |= !h->dropped;
        break;
    default: break;
    }
}

/* Appends to bytes that are known to suffice. */
static inline char *append(char *p, struct slice s)
{
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return p + s.n;
}

/* message_add() for a name that is known. */
static int add(struct message *m, enum header_id id, struct slice name, struct slice value)
{
    if (m->n_headers >= m->cap_headers)
        return -ERR_TOO_MANY_HEADERS;
    if (value.n > UINT16_MAX)
        return -ERR_HEADER_TOO_LARGE;
    m->headers[m->n_headers++] = (struct header){
        .name = name.p,
        .value = value.p,
        .name_len = (uint16_t)name.n,
        .value_len = (uint16_t)value.n,
        .id = (uint8_t)id,
    };
    return 0;
}
#define ADD(m, id, name, value) add(m, HEADER_##id, SLICE(name), value)

/* All fields with `id` and then `last`, as one list in one field; the old ones go.  `size`: theirs, with ", " after each. */
static int join(struct message *m, enum header_id id, struct slice name, size_t size, struct slice last, struct arena *a)
{
    char *text = arena_take(a, size + last.n), *p = text;

    if (text == NULL)
        return -ERR_NOMEM;
    for (size_t i = 0; i < m->n_headers; i++) {
        struct header *h = &m->headers[i];

        if (h->id != id || h->dropped)
            continue;
        h->dropped = true;
        if (h->value_len == 0)
            continue;
        p = append(p, header_value_of(h));
        p = append(p, SLICE(", "));
    }
    p = append(p, last);
    return add(m, id, name, slice_of(text, (size_t)(p - text)));
}

static int add_x_forwarded(struct message *m, const struct hop_info *info, const struct received *got, struct arena *a)
{
    int rc = 0;

    if (info->client_ip.n > 0 && got->x_for == 0) /* a peer on a Unix socket has no address to tell */
        rc = ADD(m, X_FORWARDED_FOR, "X-Forwarded-For", info->client_ip);
    else if (info->client_ip.n > 0)
        rc = join(m, HEADER_X_FORWARDED_FOR, SLICE("X-Forwarded-For"), got->x_for_size, info->client_ip, a);
    if (rc == 0 && !got->x_proto)
        rc = ADD(m, X_FORWARDED_PROTO, "X-Forwarded-Proto", info->secure ? SLICE("https") : SLICE("http"));
    if (rc == 0 && !got->x_host && m->authority.n > 0)
        rc = ADD(m, X_FORWARDED_HOST, "X-Forwarded-Host", m->authority);
    return rc;
}

/* A host can stand between double quotes as it is, unless it is not one. */
static bool is_quotable(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!h1_is(s.p[i], H1_VALUE) || s.p[i] == '"' || s.p[i] == '\\')
            return false;
    return s.n > 0;
}

/* "for=192.0.2.1;proto=http;host=example.com" (RFC 7239 4): what is no token goes between quotes, IPv6 in brackets too. */
static int add_forwarded(struct message *m, const struct hop_info *info, const struct received *got, struct arena *a)
{
    bool host = is_quotable(m->authority);
    bool is_v6 = info->client_ip.n > 0 && memchr(info->client_ip.p, ':', info->client_ip.n) != NULL;
    bool quote = host && h1_scan_token(m->authority.p, m->authority.n) < m->authority.n;
    char *text = arena_take(a, info->client_ip.n + m->authority.n + 64), *p = text;
    struct slice last;

    if (text == NULL)
        return -ERR_NOMEM;
    p = append(p, is_v6 ? SLICE("for=\"[") : SLICE("for="));
    p = append(p, info->client_ip.n > 0 ? info->client_ip : SLICE("unknown"));
    p = append(p, is_v6 ? SLICE("]\"") : SLICE(""));
    p = append(p, info->secure ? SLICE(";proto=https") : SLICE(";proto=http"));
    if (host) {
        p = append(p, quote ? SLICE(";host=\"") : SLICE(";host="));
        p = append(p, m->authority);
        p = append(p, quote ? SLICE("\"") : SLICE(""));
    }
    last = slice_of(text, (size_t)(p - text));
    if (got->forwarded > 0)
        return join(m, HEADER_FORWARDED, SLICE("Forwarded"), got->forwarded_size, last, a);
    return ADD(m, FORWARDED, "Forwarded", last);
}

/* "1.1 weir": the version is the one in which the message was received (RFC 9110 7.6.3). */
static int add_via(struct message *m, const struct hop_info *info, struct arena *a)
{
    char *text, *p;

    if (!info->via)
        return 0;
    text = arena_take(a, info->via_name.n + 4);
    if (text == NULL)
        return -ERR_NOMEM;
    p = append(text, m->h2 ? SLICE("2.0 ") : m->minor == 0 ? SLICE("1.0 ") : SLICE("1.1 "));
    p = append(p, info->via_name);
    return ADD(m, VIA, "Via", slice_of(text, (size_t)(p - text)));
}

static int add_identity(struct message *m, const struct tls_identity *id)
{
    int rc = ADD(m, OTHER, "X-Client-Cert-Verify", SLICE("SUCCESS"));

    if (rc == 0)
        rc = ADD(m, OTHER, "X-Client-Cert-Subject", slice_str(id->subject));
    if (rc == 0 && id->sans[0] != '\0')
        rc = ADD(m, OTHER, "X-Client-Cert-San", slice_str(id->sans));
    if (rc == 0 && id->spiffe[0] != '\0')
        rc = ADD(m, OTHER, "X-Client-Cert-Spiffe", slice_str(id->spiffe));
    if (rc == 0)
        rc = ADD(m, OTHER, "X-Client-Cert-Fingerprint", slice_str(id->fingerprint));
    if (rc == 0)
        rc = ADD(m, OTHER, "X-Client-Cert-Serial", slice_str(id->serial));
    return rc;
}

int hop_request(struct message *m, const struct hop_info *info, struct arena *a)
{
    struct received got = { 0 };
    int rc = 0;

    for (size_t i = 0; i < m->n_headers; i++)
        see_field(&m->headers[i], m, info, &got);
    if (got.connection != NULL && !drop_all_listed(m, (size_t)(got.connection - m->headers)))
        return -ERR_BAD_HEADER;
    if (info->forwarded == FORWARDED_X || info->forwarded == FORWARDED_BOTH)
        rc = add_x_forwarded(m, info, &got, a);
    if (rc == 0 && (info->forwarded == FORWARDED_RFC7239 || info->forwarded == FORWARDED_BOTH))
        rc = add_forwarded(m, info, &got, a);
    if (rc == 0 && info->identity != NULL)
        rc = add_identity(m, info->identity);
    return rc == 0 ? add_via(m, info, a) : rc;
}

int hop_response(struct message *m, const struct hop_info *info, bool upgrading, struct arena *a)
{
    const struct header *connection = NULL;

    for (size_t i = 0; i < m->n_headers; i++) {
        struct header *h = &m->headers[i];

        switch (h->id) {
        case HEADER_CONNECTION:
            connection = connection == NULL ? h : connection;
            h->dropped = true;
            break;
        case HEADER_CONTENT_LENGTH:
        case HEADER_TRANSFER_ENCODING:
        case HEADER_KEEP_ALIVE:
        case HEADER_PROXY_CONNECTION:
        case HEADER_TRAILER:
        case HEADER_TE:
        case HEADER_HTTP2_SETTINGS: h->dropped = true; break;
        case HEADER_UPGRADE: h->dropped |= !upgrading; break;
        default: break;
        }
    }
    if (connection != NULL && !drop_all_listed(m, (size_t)(connection - m->headers)))
        return -ERR_BAD_RESPONSE;
    return add_via(m, info, a);
}
