/* hash_conf.c - the rows of `hash`, and the kinds of keys. */
#include "upstream/hash_conf.h"

const struct conf_key hash_keys[] = {
    CONF_KEY(
        hash_conf, key, STR, "client_ip", NULL, NULL,
        "client_ip, header:NAME, cookie:NAME, query:NAME (as written, not decoded), path (without the query, in its plain spelling), host (without the port) or sni. Of what a request has twice, the first counts; for one that lacks it, or has it empty, chance decides."),
    CONF_KEY(
        hash_conf, bound, FLOAT, "0", "0", "100",
        "The most requests at one backend at a time, as a multiple of the average (by weight); a key whose backend is that full goes to the next. 1.0 or more; 0: no bound."),
    CONF_END,
};

static const char *const words[HASH_KINDS] = {
    [HASH_CLIENT_IP] = "client_ip", [HASH_HEADER] = "header", [HASH_COOKIE] = "cookie", [HASH_QUERY] = "query",
    [HASH_PATH] = "path",           [HASH_HOST] = "host",     [HASH_SNI] = "sni",
};

const char *hash_kind_word(enum hash_kind kind) { return words[kind]; }
bool hash_kind_has_name(enum hash_kind kind) { return kind == HASH_HEADER || kind == HASH_COOKIE || kind == HASH_QUERY; }
