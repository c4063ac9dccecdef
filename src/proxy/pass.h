/*
 * pass.h - the backend's answer: awaited, and passed on to the client while it comes.
 *
 * Threads: the exchange's fiber.  Memory: the exchange's.
 */
#ifndef PROXY_PASS_H
#define PROXY_PASS_H
#include "proxy/exchange.h"

/* The final head; 1xx heads before it have been passed on.  0 or a code. */
int pass_read_head(struct exchange *x, struct message *m);
/* That head and all that follows.  0 or a code; a tunnel that was opened (x->end) has the lease now. */
int pass_answer(struct exchange *x, struct message *m);
#endif
