/*
 * upload.h - the request's body on its way to a backend: in a fiber of its own, for the answer may come before it has ended.
 *
 * Its beginning is kept (struct exchange: replay) as long as the request may have to be sent again.
 *
 * Threads: the exchange's.  Memory: the caller's.
 */
#ifndef PROXY_UPLOAD_H
#define PROXY_UPLOAD_H
#include "proxy/exchange.h"

struct upload {
    struct exchange *x;
    struct group group;
    bool done;      /* all of it has been sent */
    int64_t ended;  /* when the fiber stopped, for whatever reason; 0: it runs */
    int64_t window; /* for the least rate */
    uint64_t in_window;
};

/* What came with the request's head, if it has a body: into the replay, from where it leaves.  0 or a code. */
int upload_read_first(struct exchange *x);
/* Starts the fiber if there is more to send, and then x->upload is `u`.  If the client's side fails, the exchange's fiber is
 * called off with that cause.  0 or a code. */
int upload_start(struct exchange *x, struct upload *u);
/* Returns when no fiber uploads; one that had not sent all makes the client's connection end. */
void upload_end(struct exchange *x);

static inline bool upload_runs(const struct exchange *x) { return x->upload != NULL && x->upload->ended == 0; }
#endif
