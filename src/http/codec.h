/*
 * codec.h - one side of an exchange, whatever the version of HTTP: toward the client (a request is read, an answer written)
 * or toward a backend (the reverse).  The exchange sees only this.
 *
 * Order of use: read_head / write_head once (1xx heads before the final one), then body pieces until one is `last`.
 * A piece that was read is good until the next call on any codec of the worker, or the next wait; write_* may be given one
 * directly.
 *
 * Threads: one fiber reads and one writes at the most, of one worker.  Memory: a codec holds unread bytes only while it must.
 */
#ifndef HTTP_CODEC_H
#define HTTP_CODEC_H
#include <stdbool.h>
#include <stdint.h>

#include "http/message.h"

struct fiber;
struct stream;

enum { INTERIM_MOST = 64 }; /* 1xx heads that a backend may send before the final one */

struct body {
    struct slice data;
    bool last;                /* nothing comes after it */
    struct message *trailers; /* with `last`: fields after the body, or NULL */
};

struct codec;
struct codec_ops {
    /* Reads a head into *m, all of it in the arena.  0; -ERR_CLOSED: the peer closed, in the middle of it if `began`;
     * -ERR_TIMEOUT; another code: what is wrong with it. */
    int (*read_request)(struct codec *c, struct message *m, const struct head_limits *limits, int64_t deadline);
    /* The head's fields are good until the next wait. */
    int (*read_response)(struct codec *c, struct message *m, enum method request_method, const struct head_limits *limits,
                         int64_t deadline);
    /* The next piece.  With a deadline of 0: what is at hand, maybe nothing (empty and not last).  0 or a code. */
    int (*read_body)(struct codec *c, struct body *b, int64_t deadline);
    /* Waits until there is something to read, or the end of it.  0; -ERR_TIMEOUT, another code. */
    int (*wait)(struct codec *c, int64_t deadline);

    /* Head and first piece leave together; `first` may be NULL, or empty. */
    int (*write_head)(struct codec *c, const struct message *m, const struct head_frame *f, const struct body *first,
                      int64_t deadline);
    int (*write_body)(struct codec *c, const struct body *b, int64_t deadline);

    /* The stream, when body bytes pass through it unchanged in that direction and none are held here: *left of them are still to
     * come.  NULL: no.  After moving n of them past the codec, tell it. */
    struct stream *(*raw_in)(struct codec *c, uint64_t *left);
    struct stream *(*raw_out)(struct codec *c);
    void (*raw_moved)(struct codec *c, uint64_t n, bool in);

    /* From now on a peer that breaks off calls `f` off (ERR_CLIENT_RESET); NULL: no more.  Where watching costs something, it
     * begins with watch_closely(), for waits that are long.  watched: it goes on. */
    void (*watch)(struct codec *c, struct fiber *f);
    void (*watch_closely)(struct codec *c);
    bool (*watched)(struct codec *c);

    /* May the connection carry another exchange, as far as what was read tells?  The body has ended and nothing came behind. */
    bool (*is_clean)(struct codec *c);
};

struct codec {
    const struct codec_ops *ops;
    bool began;                   /* bytes of the head at hand have come */
    bool body_done;               /* the body that is read has ended */
    uint8_t framing;              /* enum framing: of what is read */
    uint64_t bytes_in, bytes_out; /* of bodies */
};
#endif
