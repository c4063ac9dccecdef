/*
 * validate_tls.h - everything that a file says about TLS: checks it, reads its certificates, and makes its parties.
 *
 * Paths become absolute: from the folder of the file that names them.
 * Threads: any one; blocks on the disk.  Memory: parties are the snapshot's.
 */
#ifndef CONF_VALIDATE_TLS_H
#define CONF_VALIDATE_TLS_H
#include "conf/node.h"
#include "conf/snapshot.h"
#include "conf/walk.h"

void validate_tls(struct walk *w, const struct conf_node *root, struct snapshot *s);
#endif
