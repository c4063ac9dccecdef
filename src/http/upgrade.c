/* upgrade.c - the members of all Upgrade fields, one after the other. */
#include "http/upgrade.h"

#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/must.h"
#include "base/sign.h"
#include "http/field_list.h"

struct members {
    const struct message *m;
    unsigned next;     /* field */
    struct slice rest; /* of the field at hand */
};

static bool next_member(struct members *in, struct slice *protocol)
{
    for (;;) {
        const struct header *h;

        if (field_list_next(&in->rest, protocol))
            return true;
        if (in->next == in->m->n_headers)
            return false;
        h = &in->m->headers[in->next++];
        if (h->id == HEADER_UPGRADE && !h->dropped)
            in->rest = header_value_of(h);
    }
}

bool upgrade_names_http(const struct message *m)
{
    struct members in = { .m = m };
    struct slice p;

    while (next_member(&in, &p)) {
        const char *slash = memchr(p.p, '/', p.n);
        struct slice name = slash == NULL ? p : slice_of(p.p, (size_t)(slash - p.p));
        if (slice_eq_nocase(name, SLICE("http")) || (name.n >= 2 && slice_eq_nocase(slice_of(name.p, 2), SLICE("h2"))))
            return true;
    }
    return false;
}

static bool names(const struct message *m, struct slice protocol)
{
    struct members in = { .m = m };
    struct slice p;

    while (next_member(&in, &p))
        if (slice_eq_nocase(p, protocol))
            return true;
    return false;
}

bool upgrade_was_asked_for(const struct message *answer, const struct message *request)
{
    struct members in = { .m = answer };
    struct slice p;
    bool any = false;

    while (next_member(&in, &p)) {
        if (!names(request, p))
            return false;
        any = true;
    }
    return any;
}

/* The value of the one field of that name; empty if there is none, or another one. */
static struct slice only_value(const struct message *m, struct slice name)
{
    struct slice value = { 0 };
    bool one = false;

    for (unsigned i = 0; i < m->n_headers; i++) {
        const struct header *h = &m->headers[i];
        if (h->dropped || !slice_eq_nocase(header_name_of(h), name))
            continue;
        if (one)
            return (struct slice){ 0 };
        one = true;
        value = header_value_of(h);
    }
    return value;
}

struct slice upgrade_websocket_key(const struct message *request)
{
    char bytes[BASE64_DECODED_MOST(WEBSOCKET_KEY_LEN)];
    struct slice key = { 0 };

    if (request->method == METHOD_GET && names(request, SLICE("websocket")))
        key = only_value(request, SLICE("sec-websocket-key"));
    return key.n == WEBSOCKET_KEY_LEN && base64_decode(key, bytes, sizeof bytes) == 16 ? key : (struct slice){ 0 };
}

int upgrade_websocket_accept(struct slice key, char accept[WEBSOCKET_ACCEPT_LEN])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 1.3 */
    char text[WEBSOCKET_KEY_LEN + sizeof guid - 1];
    uint8_t digest[SHA1_SIZE];
    struct buf encoded = { 0 };
    int rc;

    MUST(key.n == WEBSOCKET_KEY_LEN);
    memcpy(text, key.p, WEBSOCKET_KEY_LEN);
    memcpy(text + WEBSOCKET_KEY_LEN, guid, sizeof guid - 1);
    rc = sign_sha1(slice_of(text, sizeof text), digest);
    if (rc == 0)
        base64_encode(&encoded, slice_of((char *)digest, sizeof digest));
    if (rc == 0 && !encoded.failed)
        memcpy(accept, encoded.p, WEBSOCKET_ACCEPT_LEN);
    else
        rc = -ERR_NOMEM;
    buf_free(&encoded);
    return rc;
}

int upgrade_websocket_check(const struct message *answer, const struct message *request)
{
    struct slice key = upgrade_websocket_key(request);
    char accept[WEBSOCKET_ACCEPT_LEN];
    int rc = key.n > 0 ? upgrade_websocket_accept(key, accept) : -ERR_UPGRADE_FAILED;

    if (rc < 0)
        return rc;
    return slice_eq(only_value(answer, SLICE("sec-websocket-accept")), slice_of(accept, sizeof accept)) ? 0 : -ERR_UPGRADE_FAILED;
}
