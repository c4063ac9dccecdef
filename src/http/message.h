/*
 * message.h - a head (request or response) as slices into the bytes as received, the same for HTTP/1 and HTTP/2.
 *
 * Parsing copies nothing: names and values point into the bytes parsed.  An edit marks a field as dropped or appends one;
 * bytes are never moved.  message_keep() makes the head independent of the buffer it was parsed from, which must happen
 * before anything yields (the buffer is lent by the worker for the moment).
 * Repeated fields stay in the order received.
 *
 * Sources: RFC 9110 (fields), RFC 9112 (framing).
 * Threads: one fiber at a time.  Memory: `headers` is the caller's array until message_keep() moves it to an arena.
 */
#ifndef HTTP_MESSAGE_H
#define HTTP_MESSAGE_H
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"

/* Field names that the proxy itself must know.  X(ID, "name") in lower case. */
#define HEADER_LIST(X)                       \
    X(HOST, "host")                          \
    X(CONNECTION, "connection")              \
    X(CONTENT_LENGTH, "content-length")      \
    X(TRANSFER_ENCODING, "transfer-encoding") \
    X(TE, "te")                              \
    X(TRAILER, "trailer")                    \
    X(UPGRADE, "upgrade")                    \
    X(EXPECT, "expect")                      \
    X(KEEP_ALIVE, "keep-alive")              \
    X(PROXY_CONNECTION, "proxy-connection")  \
    X(HTTP2_SETTINGS, "http2-settings")      \
    X(VIA, "via")                            \
    X(FORWARDED, "forwarded")                \
    X(X_FORWARDED_FOR, "x-forwarded-for")    \
    X(X_FORWARDED_PROTO, "x-forwarded-proto") \
    X(X_FORWARDED_HOST, "x-forwarded-host")  \
    X(PROXY_STATUS, "proxy-status")          \
    X(CONTENT_TYPE, "content-type")          \
    X(COOKIE, "cookie")                      \
    X(DATE, "date")                          \
    X(LOCATION, "location")                  \
    X(REFERER, "referer")                    \
    X(RETRY_AFTER, "retry-after")            \
    X(SERVER, "server")                      \
    X(USER_AGENT, "user-agent")              \
    X(X_REQUEST_ID, "x-request-id")

enum header_id {
    HEADER_OTHER,
#define X(id, name) HEADER_##id,
    HEADER_LIST(X)
#undef X
    HEADER_COUNT
};

/* Which one it is, any case; HEADER_OTHER if the proxy doesn't care. */
enum header_id header_id(struct slice name);
const char *header_name(enum header_id id); /* lower case; not for HEADER_OTHER */

struct header {
    const char *name, *value;     /* value without surrounding white space */
    uint16_t name_len, value_len; /* a head is below 64 KiB */
    uint8_t id;                   /* enum header_id */
    bool dropped;                 /* not passed on */
};

static inline struct slice header_name_of(const struct header *h) { return slice_of(h->name, h->name_len); }
static inline struct slice header_value_of(const struct header *h) { return slice_of(h->value, h->value_len); }

enum method {
    METHOD_OTHER, /* an extension method: passed on by its name */
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_OPTIONS,
    METHOD_TRACE,
    METHOD_PATCH,
    METHOD_CONNECT,
};
/* RFC 9110 9.2.2: GET, HEAD, PUT, DELETE, OPTIONS, TRACE. */
bool method_is_idempotent(enum method m);
enum method method_of(struct slice name); /* case-sensitive */

/* How long the body is, decided once, by the parser, from all fields together (RFC 9112 6.3). */
enum framing {
    FRAMING_NONE,    /* no body */
    FRAMING_LENGTH,  /* content_length bytes */
    FRAMING_CHUNKED, /* until the last chunk */
    FRAMING_CLOSE,   /* responses only: until the connection ends */
};

/* How large a head may be. */
struct head_limits {
    uint32_t head;    /* bytes of the whole head, at most 65535 */
    uint32_t line;    /* bytes of the request line; beyond: 414 */
    uint16_t headers; /* fields */
};

struct message {
    /* request */
    struct slice method_name, target; /* as received */
    struct slice authority;           /* from Host, or from an absolute target, which wins (RFC 9112 3.2.2); may be empty in 1.0 */
    struct slice path;                /* path of the target, without query; "*" for OPTIONS * */
    struct slice query;               /* after '?', which it doesn't have; .p NULL if there was none */
    /* response */
    struct slice reason;
    uint16_t status;
    /* both */
    uint8_t method;        /* enum method */
    uint8_t minor;         /* HTTP/1.minor: 0 or 1 */
    uint8_t framing;       /* enum framing */
    bool h2;               /* it came over HTTP/2; minor is 1 then */
    bool absolute;         /* the target was in absolute form */
    bool keep_alive;       /* the sender lets the connection live on (version and Connection together) */
    bool expect_continue;  /* Expect: 100-continue */
    bool upgrade;          /* Connection: upgrade together with an Upgrade field */
    bool te_trailers;      /* TE: trailers */
    uint64_t content_length; /* with FRAMING_LENGTH */
    uint16_t n_headers, cap_headers;
    struct header *headers;
};

/* What the connection does after this message, as far as HTTP/1 must say it in a Connection field. */
enum persist {
    PERSIST_DEFAULT, /* HTTP/1.1's default: nothing is written */
    PERSIST_TELL,    /* "Connection: keep-alive": toward an HTTP/1.0 client that asked for it */
    PERSIST_CLOSE,   /* "Connection: close" */
    PERSIST_UPGRADE, /* the exchange becomes a tunnel; the Upgrade field is among the fields */
};

/* How a message is to be framed when it is written. */
struct head_frame {
    enum framing framing; /* FRAMING_CLOSE writes no length at all */
    uint64_t content_length;
    enum persist persist;
    bool keep_length;     /* the answer to a HEAD, or a 304: Content-Length as received is passed on with FRAMING_NONE */
    struct slice date;    /* an answer's whole Date line (date_field.h), for one that has no Date; empty: none */
};

/* Copies bytes and fields to `a` with room for `more` appended fields.  -ERR_NOMEM. */
int message_keep(struct message *m, const char *bytes, size_t n, struct arena *a, unsigned more);

/* Room for `more` fields beyond those there are.  -ERR_NOMEM, -ERR_TOO_MANY_HEADERS. */
int message_reserve(struct message *m, unsigned more, struct arena *a);

/* The first field not dropped with that id or (any case) name; NULL if there is none. */
struct header *message_find(const struct message *m, enum header_id id);
struct header *message_find_name(const struct message *m, struct slice name);

/* Appends a field; name and value must live as long as the message.  -ERR_TOO_MANY_HEADERS when there is no room. */
int message_add(struct message *m, struct slice name, struct slice value);
void message_drop(struct message *m, enum header_id id);
void message_drop_name(struct message *m, struct slice name);
#endif
