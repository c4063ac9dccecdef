/*
 * h2_guard.h - does a peer on an HTTP/2 connection make more work than it has use for?
 *
 * Promise: what costs the peer little and us something (resets, SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty and unknown
 * frames) is counted in windows of 10 s; streams and DATA frames earn some of it.  Beyond, the connection is to be ended with
 * ENHANCE_YOUR_CALM.  Resets that the peer makes us send by its mistakes count as its own.  A header block has at most 32 KiB in
 * one HEADERS and 8 CONTINUATION frames.
 *
 * No I/O, never yields; time is an argument.
 * Sources: CVE-2019-9512, -9513, -9515, -9518, CVE-2023-44487 (rapid reset), CVE-2024-27316 (CONTINUATION),
 *     CVE-2025-8671 (MadeYouReset).
 * Threads: one worker.  Memory: the caller's; zeroed is valid.
 */
#ifndef HTTP_H2_GUARD_H
#define HTTP_H2_GUARD_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum h2_event {
    H2_EVENT_RESET, /* of a stream that was not answered yet */
    H2_EVENT_SETTINGS,
    H2_EVENT_PING, /* or an answer to none of ours */
    H2_EVENT_PRIORITY,
    H2_EVENT_WINDOW_UPDATE,
    H2_EVENT_EMPTY,   /* DATA without content and end; padding is none */
    H2_EVENT_UNKNOWN, /* a frame of no known kind */
    H2_EVENT_COUNT,
};

struct h2_guard {
    int64_t window; /* when it began */
    uint32_t n[H2_EVENT_COUNT];
    uint32_t streams, data;    /* in this window: what earns */
    uint64_t requests, resets; /* in all */
    uint32_t asked;            /* pings of ours without an answer yet */
    /* the frame that is being received */
    uint32_t skip; /* bytes until the next one begins: of the preface at first */
    uint8_t head[9];
    uint8_t n_head;
    bool padded;     /* DATA whose first byte says how much of it is padding */
    bool in_block;   /* a header block has begun and not ended */
    bool block_ends; /* with this frame */
    uint8_t continuations;
    uint32_t block; /* bytes of the block */
    int64_t block_since;
};

/* A connection that begins with `skip` bytes that are no frame. */
void h2_guard_init(struct h2_guard *g, uint32_t skip, int64_t now);
/* Looks at bytes that have come, at their frames' heads.  NULL: all is well; else a word for what was too much. */
const char *h2_guard_look(struct h2_guard *g, const char *bytes, size_t n, int64_t now);
/* False: that is too much. */
bool h2_guard_admit(struct h2_guard *g, enum h2_event e, int64_t now);
void h2_guard_stream(struct h2_guard *g, int64_t now); /* one was opened */
void h2_guard_data(struct h2_guard *g, int64_t now);   /* a DATA frame with content came or went */
void h2_guard_asked(struct h2_guard *g);               /* a ping of ours went: its answer is no event */
const char *h2_event_name(enum h2_event e);
#endif
