/*
 * status.h - what runs, as a page for people.
 *
 * Threads: the main one.  Memory: the caller's buf.
 */
#ifndef ADMIN_STATUS_H
#define ADMIN_STATUS_H
#include "admin/host.h"
#include "base/buf.h"

void status_page(const struct admin_view *v, struct buf *out);
#endif
