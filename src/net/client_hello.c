/* client_hello.c - records, handshake message, extensions, names: each a length and what it counts. */
#include "net/client_hello.h"

#include <stdbool.h>

#include "base/err.h"

enum {
    RECORD_HEADER = 5,
    RECORD_HANDSHAKE = 22,
    HANDSHAKE_HEADER = 4,
    HANDSHAKE_CLIENT_HELLO = 1,
    EXTENSION_SERVER_NAME = 0,
    NAME_HOST = 0,
};

/* Bytes that are taken from the front; a take that asks for too many makes it bad, and then all takes are empty. */
struct take {
    const uint8_t *p;
    size_t n;
    bool bad;
};

static struct take take_bytes(struct take *t, size_t n)
{
    struct take out = { t->p, n, false };

    if (t->bad || n > t->n) {
        t->bad = true;
        return (struct take){ t->p, 0, true };
    }
    t->p += n;
    t->n -= n;
    return out;
}

static unsigned take_number(struct take *t, size_t bytes)
{
    struct take at = take_bytes(t, bytes);
    unsigned n = 0;

    for (size_t i = 0; i < at.n; i++)
        n = n << 8 | at.p[i];
    return n;
}

/* A length of that many bytes, and what it counts. */
static struct take take_vector(struct take *t, size_t length_bytes) { return take_bytes(t, take_number(t, length_bytes)); }

static bool is_host_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

bool client_hello_host(struct slice host, char text[CLIENT_HELLO_NAME], struct slice *name)
{
    size_t n = host.n;

    if (n == 0 || n >= CLIENT_HELLO_NAME)
        return false;
    for (size_t i = 0; i < n; i++) {
        text[i] = (char)slice_lower(host.p[i]);
        if (!is_host_byte((uint8_t)text[i]))
            return false;
    }
    if (text[n - 1] == '.') /* RFC 6066: without it; some send it all the same */
        n--;
    *name = slice_of(text, n);
    return n > 0;
}

/* The list holds at most one name of each type. */
static bool read_names(struct take *extension, char text[CLIENT_HELLO_NAME], struct slice *name)
{
    struct take list = take_vector(extension, 2);
    bool found = false;

    while (!list.bad && list.n > 0) {
        unsigned type = take_number(&list, 1);
        struct take host = take_vector(&list, 2);
        if (list.bad || (type == NAME_HOST && (found || !client_hello_host(slice_of((const char *)host.p, host.n), text, name))))
            return false;
        found |= type == NAME_HOST;
    }
    return !list.bad && !extension->bad && extension->n == 0 && found;
}

static bool read_extensions(struct take *all, char text[CLIENT_HELLO_NAME], struct slice *name)
{
    bool found = false;

    while (!all->bad && all->n > 0) {
        unsigned type = take_number(all, 2);
        struct take extension = take_vector(all, 2);
        if (all->bad)
            return false;
        if (type != EXTENSION_SERVER_NAME)
            continue;
        if (found || !read_names(&extension, text, name))
            return false;
        found = true;
    }
    return !all->bad;
}

static int read_hello(struct take hello, char text[CLIENT_HELLO_NAME], struct slice *name)
{
    struct take extensions;

    (void)take_bytes(&hello, 2 + 32); /* version, random */
    (void)take_vector(&hello, 1);     /* session */
    (void)take_vector(&hello, 2);     /* cipher suites */
    (void)take_vector(&hello, 1);     /* compression */
    if (hello.bad)
        return -ERR_BAD_CLIENT_HELLO;
    if (hello.n == 0)
        return 1; /* of a time before there were extensions */
    extensions = take_vector(&hello, 2);
    return !hello.bad && hello.n == 0 && read_extensions(&extensions, text, name) ? 1 : -ERR_BAD_CLIENT_HELLO;
}

/* What the records at the front carry, put side by side.  0: more is needed. */
static int join_records(struct take in, uint8_t *out, size_t *total)
{
    size_t want = HANDSHAKE_HEADER;

    *total = 0;
    while (*total < want) {
        struct take record;
        unsigned type, major, n;
        if (in.n > 0 && in.p[0] != RECORD_HANDSHAKE)
            return -ERR_BAD_CLIENT_HELLO;
        if (in.n > 1 && in.p[1] != 3)
            return -ERR_BAD_CLIENT_HELLO;
        if (in.n < RECORD_HEADER)
            return 0;
        type = take_number(&in, 1);
        major = take_number(&in, 1);
        (void)take_number(&in, 1);
        n = take_number(&in, 2);
        if (type != RECORD_HANDSHAKE || major != 3 || n == 0 || n > CLIENT_HELLO_MOST - *total)
            return -ERR_BAD_CLIENT_HELLO;
        record = take_bytes(&in, n <= in.n ? n : in.n);
        for (size_t i = 0; i < record.n; i++)
            out[(*total)++] = record.p[i];
        if (*total >= HANDSHAKE_HEADER) {
            want = HANDSHAKE_HEADER + ((size_t)out[1] << 16 | (size_t)out[2] << 8 | out[3]);
            if (out[0] != HANDSHAKE_CLIENT_HELLO || want > CLIENT_HELLO_MOST)
                return -ERR_BAD_CLIENT_HELLO;
        }
        if (record.n < n && *total < want)
            return 0;
    }
    *total = want;
    return 1;
}

int client_hello_name(const uint8_t *bytes, size_t n, char text[CLIENT_HELLO_NAME], struct slice *name)
{
    static _Thread_local uint8_t message[CLIENT_HELLO_MOST];
    size_t total;
    int rc = join_records((struct take){ bytes, n < CLIENT_HELLO_MOST ? n : CLIENT_HELLO_MOST, false }, message, &total);

    *name = slice_of(text, 0);
    if (rc == 0 && n >= CLIENT_HELLO_MOST)
        return -ERR_BAD_CLIENT_HELLO;
    if (rc <= 0)
        return rc;
    return read_hello((struct take){ message + HANDSHAKE_HEADER, total - HANDSHAKE_HEADER, false }, text, name);
}
