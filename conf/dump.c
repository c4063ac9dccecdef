/* dump.c - a snapshot as a file that loads to the same snapshot. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "conf/load.h"
#include "conf/schema.h"
#include "upstream/strategy.h"

struct dump {
    FILE *f;
    int depth;
};

static void indent(const struct dump *d) { fprintf(d->f, "%*s", d->depth * 4, ""); }

/* The inside of a string, with libconfig's escapes. */
static void put_bytes(const struct dump *d, struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            fprintf(d->f, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", d->f);
        else if (c < 0x20 || c == 0x7f)
            fprintf(d->f, "\\x%02x", c);
        else
            fputc(c, d->f);
    }
}

static void put_string(const struct dump *d, struct slice s)
{
    fputc('"', d->f);
    put_bytes(d, s);
    fputc('"', d->f);
}

/* In the largest unit that leaves nothing over. */
static void put_time(const struct dump *d, int64_t us)
{
    static const struct {
        const char *word;
        int64_t us;
    } units[] = { { "h", INT64_C(3600000000) }, { "m", 60000000 }, { "s", 1000000 }, { "ms", 1000 }, { "us", 1 } };
    size_t i = 0;

    while (us % units[i].us != 0)
        i++;
    if (us == 0)
        fputs("\"0\"", d->f);
    else
        fprintf(d->f, "\"%" PRId64 "%s\"", us / units[i].us, units[i].word);
}

static void put_size(const struct dump *d, uint64_t n)
{
    static const char letters[] = "KMGT";
    size_t i = 0;

    while (n != 0 && n % 1024 == 0 && i < 4) {
        n /= 1024;
        i++;
    }
    fprintf(d->f, "\"%" PRIu64, n);
    if (i > 0)
        fputc(letters[i - 1], d->f);
    fputc('"', d->f);
}

static void put_rate(const struct dump *d, double rate)
{
    static const struct {
        const char *word;
        double seconds;
    } units[] = { { "s", 1 }, { "m", 60 }, { "h", 3600 } };
    size_t i = 0;

    while (i < 2 && rate * units[i].seconds != (double)(uint64_t)(rate * units[i].seconds))
        i++;
    fprintf(d->f, "\"%.0f/%s\"", rate * units[i].seconds, units[i].word);
}

/* With as few digits as read back to the same number; a point makes it a float. */
static void put_float(const struct dump *d, double x)
{
    char text[64];
    int digits = 1;

    do
        (void)snprintf(text, sizeof text, "%.*f", digits, x);
    while (strtod(text, NULL) != x && ++digits <= 17);
    fputs(text, d->f);
}

static void put_strings(const struct dump *d, const struct conf_strs *s)
{
    fputs("[ ", d->f);
    for (size_t i = 0; i < s->n; i++) {
        if (i > 0)
            fputs(", ", d->f);
        put_string(d, slice_str(s->v[i]));
    }
    fputs(" ]", d->f);
}

static void put_rows(struct dump *d, const struct conf_key *keys, const void *from);

static void put_group(struct dump *d, const struct conf_key *keys, const void *from)
{
    fputs("{\n", d->f);
    d->depth++;
    put_rows(d, keys, from);
    d->depth--;
    indent(d);
    fputs("}", d->f);
}

static void put_list(struct dump *d, const struct conf_key *k, const struct conf_list *list)
{
    fputs("( ", d->f);
    for (size_t i = 0; i < list->n; i++) {
        if (i > 0)
            fputs(", ", d->f);
        put_group(d, k->sub, (const char *)list->v + i * k->sub_size);
    }
    fputs(" )", d->f);
}

/* The parsers of addresses are the only ones there are for now; a new one brings its writer here. */
static void put_custom(const struct dump *d, const struct conf_key *k, const void *field)
{
    char text[ADDR_TEXT_MAX];

    MUST(k->parse == addr_parse || k->parse == check_address_parse);
    put_string(d, slice_str(k->parse == addr_parse ? addr_format(field, text) : check_address_format(field, text)));
}

/* What a pointer field points to; the row says of which kind it is. */
static const void *pointed_to(const void *field)
{
    const void *p;

    memcpy(&p, field, sizeof p);
    return p;
}

static bool is_absent(const struct conf_key *k, const void *field)
{
    switch (k->type) {
    case CONF_TYPE_STR:
    case CONF_TYPE_OPTIONAL: return pointed_to(field) == NULL;
    case CONF_TYPE_WORD: return *(const int *)field < 0;
    case CONF_TYPE_STRS: return ((const struct conf_strs *)field)->n == 0;
    case CONF_TYPE_LIST: return ((const struct conf_list *)field)->n == 0;
    case CONF_TYPE_CUSTOM: return ((const struct addr *)field)->len == 0;
    default: return false;
    }
}

static void put_value(struct dump *d, const struct conf_key *k, const void *field)
{
    switch (k->type) {
    case CONF_TYPE_BOOL: fputs(*(const bool *)field ? "true" : "false", d->f); break;
    case CONF_TYPE_UINT: /* beyond 31 bits libconfig wants an L */
        fprintf(d->f, "%" PRIu32 "%s", *(const uint32_t *)field, *(const uint32_t *)field > INT32_MAX ? "L" : "");
        break;
    case CONF_TYPE_FLOAT: put_float(d, *(const double *)field); break;
    case CONF_TYPE_TIME: put_time(d, *(const int64_t *)field); break;
    case CONF_TYPE_SIZE: put_size(d, *(const uint64_t *)field); break;
    case CONF_TYPE_RATE: put_rate(d, *(const double *)field); break;
    case CONF_TYPE_STR: put_string(d, slice_str(pointed_to(field))); break;
    case CONF_TYPE_WORD: put_string(d, slice_str(k->words[*(const int *)field])); break;
    case CONF_TYPE_STRS: put_strings(d, field); break;
    case CONF_TYPE_GROUP: put_group(d, k->sub, field); break;
    case CONF_TYPE_OPTIONAL: put_group(d, k->sub, pointed_to(field)); break;
    case CONF_TYPE_LIST: put_list(d, k, field); break;
    default: put_custom(d, k, field);
    }
}

static void put_rows(struct dump *d, const struct conf_key *keys, const void *from)
{
    for (const struct conf_key *k = keys; k->name != NULL; k++) {
        const void *field = (const char *)from + k->offset;
        if (is_absent(k, field))
            continue;
        indent(d);
        if (k->hidden) {
            fprintf(d->f, "// %s is not shown; where this is to be loaded, write it here\n", k->name);
            continue;
        }
        fprintf(d->f, "%s = ", k->name);
        put_value(d, k, field);
        fputs(";\n", d->f);
    }
}

static void put_field(const struct dump *d, const char *before, struct slice name, struct slice value)
{
    fprintf(d->f, "\"%s", before);
    put_bytes(d, name);
    if (value.p != NULL) {
        fputs(": ", d->f);
        put_bytes(d, value);
    }
    fputc('"', d->f);
}

static void put_header_rules(const struct dump *d, const char *name, const struct header_rules *r)
{
    static const char *const words[] = { [HEADER_SET] = "set ", [HEADER_ADD] = "add ", [HEADER_REMOVE] = "remove " };

    if (r->n == 0)
        return;
    indent(d);
    fprintf(d->f, "%s = [ ", name);
    for (size_t i = 0; i < r->n; i++) {
        const struct header_rule *h = &r->v[i];
        struct slice value = h->value;
        if (h->op == HEADER_REMOVE)
            value.p = NULL;
        fputs(i > 0 ? ", " : "", d->f);
        put_field(d, words[h->op], h->name, value);
    }
    fputs(" ];\n", d->f);
}

static void put_header_matches(const struct dump *d, const struct route_conf *r)
{
    if (r->n_headers == 0)
        return;
    indent(d);
    fputs("headers = [ ", d->f);
    for (size_t i = 0; i < r->n_headers; i++) {
        fputs(i > 0 ? ", " : "", d->f);
        put_field(d, "", r->headers[i].name, r->headers[i].any ? SLICE("*") : r->headers[i].value);
    }
    fputs(" ];\n", d->f);
}

static void put_networks(const struct dump *d, const char *name, const struct networks *nets)
{
    char ip[IP_TEXT_MAX];

    if (nets->n == 0)
        return;
    indent(d);
    fprintf(d->f, "%s = [ ", name);
    for (size_t i = 0; i < nets->n; i++) {
        const struct network *n = &nets->v[i];
        (void)ip_format(&n->base, ip);
        if (n->base.family == 0)
            fprintf(d->f, "%s\"unix\"", i > 0 ? ", " : "");
        else
            fprintf(d->f, "%s\"%s/%u\"", i > 0 ? ", " : "", ip, n->bits);
    }
    fputs(" ];\n", d->f);
}

static void put_daemon(struct dump *d, const struct daemon_conf *c)
{
    fputs("daemon = {\n", d->f);
    d->depth++;
    put_rows(d, daemon_keys, c);
    put_networks(d, "trusted_proxies", &c->trusted_proxies);
    d->depth--;
    fputs("};\n", d->f);
}

/* "name = (", each item by put(i) in braces, ");" */
static void put_items(struct dump *d, const char *name, size_t n, const struct snapshot *s,
                      void (*put)(struct dump *d, const struct snapshot *s, size_t i))
{
    if (n == 0)
        return;
    fprintf(d->f, "%s = (\n", name);
    d->depth++;
    for (size_t i = 0; i < n; i++) {
        indent(d);
        fputs("{\n", d->f);
        d->depth++;
        put(d, s, i);
        d->depth--;
        indent(d);
        fprintf(d->f, "}%s\n", i + 1 < n ? "," : "");
    }
    d->depth--;
    fputs(");\n", d->f);
}

static void put_error_page(struct dump *d, const struct snapshot *s, size_t i)
{
    put_rows(d, error_page_keys, &s->error_pages[i]);
}

static void put_listener(struct dump *d, const struct snapshot *s, size_t i)
{
    put_rows(d, listener_keys, &s->listeners[i]);
    put_networks(d, "proxy_protocol_from", &s->listeners[i].proxy_protocol_from);
    put_header_rules(d, "request_headers", &s->listeners[i].request_headers);
    put_header_rules(d, "response_headers", &s->listeners[i].response_headers);
}

static void put_route(struct dump *d, const struct snapshot *s, size_t i)
{
    put_rows(d, route_keys, &s->routes[i]);
    put_header_matches(d, &s->routes[i]);
    put_header_rules(d, "request_headers", &s->routes[i].request_headers);
    put_header_rules(d, "response_headers", &s->routes[i].response_headers);
}

static void put_pool(struct dump *d, const struct snapshot *s, size_t i)
{
    const struct conf_key k = { .sub = backend_keys, .sub_size = sizeof(struct backend_conf) };

    put_rows(d, pool_keys, &s->pools[i]);
    if (s->pools[i].strategy->hashes) { /* with others it would be warned of */
        indent(d);
        fputs("hash = ", d->f);
        put_group(d, hash_keys, &s->pools[i].hash);
        fputs(";\n", d->f);
    }
    if (s->pools[i].backends.n == 0)
        return;
    indent(d);
    fputs("backends = ", d->f);
    put_list(d, &k, &s->pools[i].backends);
    fputs(";\n", d->f);
}

int conf_dump(const struct snapshot *s, FILE *out)
{
    struct dump d = { out, 0 };

    put_daemon(&d, &s->daemon);
    put_rows(&d, top_keys, s);
    put_items(&d, "error_pages", s->n_error_pages, s, put_error_page);
    put_items(&d, "listeners", s->n_listeners, s, put_listener);
    put_items(&d, "routes", s->n_routes, s, put_route);
    put_items(&d, "pools", s->n_pools, s, put_pool);
    return fflush(out) != 0 || ferror(out) ? -ERR_IO : 0;
}
