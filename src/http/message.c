/* message.c - known names, and edits of a head that move no bytes. */
#include "http/message.h"

#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "http/header_names.h"

#define X(id, word) [HEADER_##id] = word,
const char header_names[][HEADER_NAME_ROOM] = { [HEADER_OTHER] = "", HEADER_LIST(X) };
#undef X

/* A new name that collides with another is an overridden initializer, which the compiler reports; one that is forgotten here
 * fails the unit test. */
#define AT(n, letter) [n][(letter)&31]
const uint8_t header_candidates[HEADER_NAME_MOST + 1][32] = {
    AT(2, 't') = HEADER_TE,
    AT(3, 'v') = HEADER_VIA,
    AT(4, 'h') = HEADER_HOST,
    AT(4, 'd') = HEADER_DATE,
    AT(6, 'e') = HEADER_EXPECT,
    AT(6, 'c') = HEADER_COOKIE,
    AT(6, 's') = HEADER_SERVER,
    AT(7, 't') = HEADER_TRAILER,
    AT(7, 'u') = HEADER_UPGRADE,
    AT(7, 'r') = HEADER_REFERER,
    AT(8, 'l') = HEADER_LOCATION,
    AT(9, 'f') = HEADER_FORWARDED,
    AT(10, 'c') = HEADER_CONNECTION,
    AT(10, 'k') = HEADER_KEEP_ALIVE,
    AT(10, 'u') = HEADER_USER_AGENT,
    AT(11, 'r') = HEADER_RETRY_AFTER,
    AT(12, 'p') = HEADER_PROXY_STATUS,
    AT(12, 'c') = HEADER_CONTENT_TYPE,
    AT(12, 'x') = HEADER_X_REQUEST_ID,
    AT(14, 'c') = HEADER_CONTENT_LENGTH,
    AT(14, 'h') = HEADER_HTTP2_SETTINGS,
    AT(15, 'x') = HEADER_X_FORWARDED_FOR,
    AT(16, 'p') = HEADER_PROXY_CONNECTION,
    AT(16, 'x') = HEADER_X_FORWARDED_HOST,
    AT(17, 't') = HEADER_TRANSFER_ENCODING,
    AT(17, 'x') = HEADER_X_FORWARDED_PROTO,
};
#undef AT

enum header_id header_id(struct slice name)
{
    unsigned id;

    if (name.n == 0)
        return HEADER_OTHER;
    id = header_candidate(name.p, name.n);
    if (id == HEADER_OTHER || !word_same(name.p, header_names[id], name.n))
        return HEADER_OTHER;
    for (size_t i = 0; i < name.n; i++) /* the name may come from anywhere */
        if ((uint8_t)name.p[i] < ' ')
            return HEADER_OTHER;
    return (enum header_id)id;
}

const char *header_name(enum header_id id)
{
    MUST(id > HEADER_OTHER && id < HEADER_COUNT);
    return header_names[id];
}

bool method_is_idempotent(enum method m)
{
    switch (m) {
    case METHOD_GET:
    case METHOD_HEAD:
    case METHOD_PUT:
    case METHOD_DELETE:
    case METHOD_OPTIONS:
    case METHOD_TRACE: return true;
    case METHOD_OTHER:
    case METHOD_POST:
    case METHOD_PATCH:
    case METHOD_CONNECT: break;
    }
    return false;
}

enum method method_of(struct slice name)
{
    switch (name.n) {
    case 3:
        if (memcmp(name.p, "GET", 3) == 0)
            return METHOD_GET;
        return memcmp(name.p, "PUT", 3) == 0 ? METHOD_PUT : METHOD_OTHER;
    case 4:
        if (memcmp(name.p, "POST", 4) == 0)
            return METHOD_POST;
        return memcmp(name.p, "HEAD", 4) == 0 ? METHOD_HEAD : METHOD_OTHER;
    case 5:
        if (memcmp(name.p, "PATCH", 5) == 0)
            return METHOD_PATCH;
        return memcmp(name.p, "TRACE", 5) == 0 ? METHOD_TRACE : METHOD_OTHER;
    case 6: return memcmp(name.p, "DELETE", 6) == 0 ? METHOD_DELETE : METHOD_OTHER;
    case 7:
        if (memcmp(name.p, "OPTIONS", 7) == 0)
            return METHOD_OPTIONS;
        return memcmp(name.p, "CONNECT", 7) == 0 ? METHOD_CONNECT : METHOD_OTHER;
    default: return METHOD_OTHER;
    }
}

/* A pointer into the old bytes gets its place in the new ones; others (constants, what was added) stay. */
struct moving {
    uintptr_t from;
    size_t n;
    const char *to;
};

static inline void move(const struct moving *v, const char **p)
{
    uintptr_t at = (uintptr_t)*p - v->from;

    if (at < v->n)
        *p = v->to + at;
}

int message_keep(struct message *m, const char *bytes, size_t n, struct arena *a, unsigned more)
{
    size_t room = (size_t)m->n_headers + more;
    struct header *h;
    struct moving v;

    if (room > UINT16_MAX)
        room = UINT16_MAX;
    h = arena_take(a, room * sizeof(*h) + n);
    if (h == NULL)
        return -ERR_NOMEM;
    v = (struct moving){ (uintptr_t)bytes, n, (char *)(h + room) };
    if (n > 0)
        memcpy(h + room, bytes, n);
    for (size_t i = 0; i < m->n_headers; i++) {
        h[i] = m->headers[i];
        move(&v, &h[i].name);
        move(&v, &h[i].value);
    }
    move(&v, &m->method_name.p);
    move(&v, &m->target.p);
    move(&v, &m->authority.p);
    move(&v, &m->path.p);
    move(&v, &m->query.p);
    move(&v, &m->reason.p);
    m->headers = h;
    m->cap_headers = (uint16_t)room;
    return 0;
}

int message_reserve(struct message *m, unsigned more, struct arena *a)
{
    size_t room = (size_t)m->n_headers + more;
    struct header *h;

    if (room <= m->cap_headers)
        return 0;
    if (room > UINT16_MAX)
        return -ERR_TOO_MANY_HEADERS;
    h = arena_take(a, room * sizeof *h);
    if (h == NULL)
        return -ERR_NOMEM;
    if (m->n_headers > 0) /* the old array may be NULL otherwise */
        memcpy(h, m->headers, m->n_headers * sizeof(*h));
    m->headers = h;
    m->cap_headers = (uint16_t)room;
    return 0;
}

struct header *message_find(const struct message *m, enum header_id id)
{
    for (size_t i = 0; i < m->n_headers; i++)
        if (m->headers[i].id == id && !m->headers[i].dropped)
            return &m->headers[i];
    return NULL;
}

/* A known name is compared by its id, any other letter by letter. */
static bool is_named(const struct header *h, enum header_id id, struct slice name)
{
    if (h->id != id || h->dropped)
        return false;
    return id != HEADER_OTHER || slice_eq_nocase(header_name_of(h), name);
}

struct header *message_find_name(const struct message *m, struct slice name)
{
    enum header_id id = header_id(name);

    for (size_t i = 0; i < m->n_headers; i++)
        if (is_named(&m->headers[i], id, name))
            return &m->headers[i];
    return NULL;
}

int message_add(struct message *m, struct slice name, struct slice value)
{
    if (m->n_headers >= m->cap_headers)
        return -ERR_TOO_MANY_HEADERS;
    if (name.n > UINT16_MAX || value.n > UINT16_MAX)
        return -ERR_HEADER_TOO_LARGE;
    m->headers[m->n_headers++] = (struct header){
        .name = name.p,
        .value = value.p,
        .name_len = (uint16_t)name.n,
        .value_len = (uint16_t)value.n,
        .id = (uint8_t)header_id(name),
    };
    return 0;
}

void message_drop(struct message *m, enum header_id id)
{
    for (size_t i = 0; i < m->n_headers; i++)
        if (m->headers[i].id == id)
            m->headers[i].dropped = true;
}

void message_drop_name(struct message *m, struct slice name)
{
    enum header_id id = header_id(name);

    for (size_t i = 0; i < m->n_headers; i++)
        if (is_named(&m->headers[i], id, name))
            m->headers[i].dropped = true;
}
