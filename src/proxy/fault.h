/*
 * fault.h - whose fault is it?  What a stream or a codec returned, as the reason that an exchange failed.
 *
 * Each takes a code below 0 and returns one.  Of a fiber that was called off (-ERR_CANCELED) it is the cause.
 *
 * Threads: from the exchange's fibers.
 */
#ifndef PROXY_FAULT_H
#define PROXY_FAULT_H
#include <stdbool.h>

/* Of a request's body; -ERR_CANCELED stays. */
int fault_of_client_read(int rc);
int fault_of_client_write(int rc);
int fault_of_backend_write(int rc);
/* `began`: bytes of the head had come. */
int fault_of_backend_head(int rc, bool began);
int fault_of_backend_body(int rc);
#endif
