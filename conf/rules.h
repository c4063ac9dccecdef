/*
 * rules.h - the texts of header rules and header conditions.
 *
 * Promise: a name is an RFC 9110 token, a value holds no control byte but a tab; fields that frame a message or belong to
 * one connection are refused, since the proxy writes them itself.
 * Threads: any.  Memory: slices point into `text`, which must outlive them.
 */
#ifndef CONF_RULES_H
#define CONF_RULES_H
#include "conf/snapshot.h"

/* "set NAME: VALUE", "add NAME: VALUE", "remove NAME".  NULL: done; else a sentence that says what is right. */
const char *header_rule_parse(const char *text, struct header_rule *out);
/* "name: value", "name: *", "name". */
const char *header_match_parse(const char *text, struct header_match *out);
bool is_token(struct slice s);
#endif
