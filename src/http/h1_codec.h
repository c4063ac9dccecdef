/*
 * h1_codec.h - HTTP/1.x on a stream: the codec of both sides.
 *
 * Source: RFC 9112.
 * Threads, memory: as codec.h says; h1_codec_close() frees what is held.
 */
#ifndef HTTP_H1_CODEC_H
#define HTTP_H1_CODEC_H
#include "http/codec.h"
#include "http/h1_parse.h"
#include "http/h1_write.h"
#include "net/scratch.h"
#include "net/stream.h"

struct h1_codec {
    struct codec codec;
    struct scratch_user scratch;
    struct stream *stream;
    struct arena *arena;     /* of the exchange at hand: heads and trailers */
    struct head_limits limits;
    char *at;                /* unread bytes: in the scratch, or in `held` */
    uint32_t n;
    uint32_t cap;            /* of held */
    char *held;
    bool failed;             /* memory ran out while bytes had to be kept */
    bool in_trailers;
    uint8_t out_framing;     /* of what is written */
    uint64_t left;           /* FRAMING_LENGTH: to be read */
    struct h1_chunked chunked;
    size_t seen;
    struct message *trailers;
    struct fiber *watcher;   /* to be told when the peer breaks off */
};

void h1_codec_open(struct h1_codec *c, struct stream *s);
/* The codec as what it is; NULL: it is one of another version. */
struct h1_codec *h1_codec_of(struct codec *c);
/* Forgets the last exchange; unread bytes (the next request) stay. */
void h1_codec_next(struct h1_codec *c, struct arena *a);
void h1_codec_close(struct h1_codec *c);
/* Reads what is there without waiting.  0: there is something unread; -ERR_AGAIN: nothing yet; -ERR_CLOSED, another code. */
int h1_codec_fill(struct h1_codec *c);
static inline bool h1_codec_has_unread(const struct h1_codec *c) { return c->n > 0; }
static inline struct slice h1_codec_unread(const struct h1_codec *c) { return slice_of(c->at, c->n); }
/* Reads more behind what is unread.  0 or a code. */
int h1_codec_fill_more(struct h1_codec *c, int64_t deadline);
/* The message is over and bytes follow it, both ways, until the connection ends: as body pieces. */
void h1_codec_switch(struct h1_codec *c);
/* Hands the unread bytes over (a tunnel begins): malloc'ed, NULL if there are none or memory is out (then *n is 0 or not). */
char *h1_codec_take_unread(struct h1_codec *c, size_t *n);
#endif
