/*
 * proxy_fields.h - names of fields that backends believe because only a proxy is to set them.
 *
 * Backends that make variables of fields (CGI and its heirs) can't tell '-' from '_', and some not from '.' or others:
 * so whatever is no letter and no digit counts as '-' here.
 * Threads: any.
 */
#ifndef HTTP_PROXY_FIELDS_H
#define HTTP_PROXY_FIELDS_H
#include <stdbool.h>

#include "base/slice.h"

/* X-Forwarded-For and all its relatives. */
bool is_x_forwarded(struct slice name);
/* Who the client is by its certificate: X-Client-Cert and all that begins so, which is ours, and RFC 9440's fields. */
bool is_client_cert(struct slice name);
#endif
