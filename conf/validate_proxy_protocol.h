/*
 * validate_proxy_protocol.h - checks what rows can't of accept_proxy_protocol and send_proxy_protocol, and tells health checks of it.
 *
 * Threads: any one.  Memory: the snapshot's arena.
 */
#ifndef CONF_VALIDATE_PROXY_PROTOCOL_H
#define CONF_VALIDATE_PROXY_PROTOCOL_H
#include "conf/snapshot.h"
#include "conf/walk.h"

void validate_proxy_protocol(struct walk *w, const struct conf_node *root, struct snapshot *s);
#endif
