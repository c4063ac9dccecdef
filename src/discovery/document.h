/*
 * document.h - a backend, or a list of them, as JSON: what files, keys of etcd and registrations are written in.
 *
 *     { "address": "10.0.0.1:80", "weight": 2, "priority": 0, "max_connections": 0 }
 *
 * Only the address must be there; the rest has the defaults and limits of `backends` in proxy.conf, of which "backup": true is
 * priority 1.  A list is [ ... ] of
 * those, in which a string stands for an object with that address.  Names that are not known are passed over, since such
 * documents are written by tools that tell others more than us; but one that looks like a misspelt name of ours is refused.
 *
 * Threads: any.  Memory: what is found stands in the caller's list, which is left alone or half filled on an error.
 */
#ifndef DISCOVERY_DOCUMENT_H
#define DISCOVERY_DOCUMENT_H
#include "discovery/found_list.h"

/* -ERR_INVALID, -ERR_NOMEM: `why` says what is wrong, and where. */
int document_list(struct slice text, struct found_list *out, char why[SOURCE_WHY]);
/* One backend.  `address` (may be NULL) is what it is called elsewhere: then the document need not say it, and may not say
 * another; an empty text is a document without anything.  out->name stays NULL. */
int document_one(struct slice text, const struct addr *address, struct found *out, char why[SOURCE_WHY]);
#endif
