/* http_plan.c - checks and digests the settings of an http check. */
#include "health/http_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "http/h1_scan.h"

#define STATUS_LEAST 200u /* 1xx are no answers */
#define STATUS_MOST  599u

static void wrong(struct check_complaints *to, const char *key, size_t item, const char *found, const char *why)
{
    to->wrong(to, key, item, found, why);
}

/* ---- statuses ---- */

/* Three digits at the start.  0: there are none such. */
static unsigned status_at(const char *text)
{
    unsigned status = 0;

    for (int i = 0; i < 3; i++) {
        if (text[i] < '0' || text[i] > '9')
            return 0;
        status = status * 10 + (unsigned)(text[i] - '0');
    }
    return status >= STATUS_LEAST && status <= STATUS_MOST ? status : 0;
}

/* NULL: *from to *to are meant; else a sentence. */
static const char *parse_statuses(const char *text, unsigned *from, unsigned *to)
{
    size_t n = strlen(text);

    if (n == 3 && text[0] >= '2' && text[0] <= '5' && strcmp(text + 1, "xx") == 0) {
        *from = (unsigned)(text[0] - '0') * 100;
        *to = *from + 99;
        return NULL;
    }
    *from = n == 3 || (n == 7 && text[3] == '-') ? status_at(text) : 0;
    *to = n == 7 ? status_at(text + 4) : *from;
    if (*from == 0 || *to == 0)
        return "not a status from 200 to 599; write \"200\", \"200-299\" or \"2xx\"";
    return *to < *from ? "the range goes backwards; write the lower status first" : NULL;
}

static void add_statuses(struct http_plan *p, const struct conf_strs *expect, struct check_complaints *to)
{
    for (size_t i = 0; i < expect->n; i++) {
        unsigned first = 0, last = 0;
        const char *why = parse_statuses(expect->v[i], &first, &last);
        if (why != NULL)
            wrong(to, "expect", i, expect->v[i], why);
        for (unsigned s = first; why == NULL && s <= last; s++)
            p->good[(s - 100) / 64] |= UINT64_C(1) << (s - 100) % 64;
    }
}

/* ---- the request ---- */

static bool is_written_by_us(struct slice name)
{
    static const struct slice ours[] = { SLICE("connection"),
                                         SLICE("content-length"),
                                         SLICE("transfer-encoding"),
                                         SLICE("te"),
                                         SLICE("trailer"),
                                         SLICE("upgrade"),
                                         SLICE("expect"),
                                         SLICE("keep-alive"),
                                         SLICE("proxy-connection"),
                                         SLICE("http2-settings") };

    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (slice_eq_nocase(name, ours[i]))
            return true;
    return false;
}

static const char *parse_header(const char *text, struct header *h)
{
    size_t n = strlen(text), name = h1_scan_token(text, n), end = n, at;

    if (name == 0 || text[name] != ':')
        return "not a field; write \"NAME: VALUE\"";
    for (at = name + 1; text[at] == ' ' || text[at] == '\t';)
        at++;
    while (end > at && (text[end - 1] == ' ' || text[end - 1] == '\t'))
        end--;
    if (h1_scan_value(text + at, end - at) != end - at)
        return "the value holds a control byte";
    if (n > 8192)
        return "too long; a field has at most 8192 bytes";
    if (slice_eq_nocase(slice_of(text, name), SLICE("host")))
        return "write it as host = \"...\"";
    if (is_written_by_us(slice_of(text, name)))
        return "this field is about the connection, and is written by the proxy itself";
    *h = (struct header){ .name = text, .value = text + at, .name_len = (uint16_t)name, .value_len = (uint16_t)(end - at) };
    h->id = (uint8_t)header_id(slice_of(text, name));
    return NULL;
}

static void add_headers(struct http_plan *p, const struct conf_strs *texts, struct check_complaints *to)
{
    static const char agent[] = "User-Agent: weir-health";
    bool has_agent = false;

    for (size_t i = 0; i < texts->n; i++) {
        const char *why = parse_header(texts->v[i], &p->headers[p->n_headers]);
        if (why != NULL)
            wrong(to, "headers", i, texts->v[i], why);
        else
            has_agent |= p->headers[p->n_headers++].id == HEADER_USER_AGENT;
    }
    if (!has_agent)
        MUST(parse_header(agent, &p->headers[p->n_headers++]) == NULL);
}

static const char *wrong_method(const char *method)
{
    if (method[0] == '\0' || h1_scan_token(method, strlen(method)) != strlen(method))
        return "not a method; write \"GET\", \"HEAD\" ...";
    for (const char *p = method; *p != '\0'; p++)
        if (*p >= 'a' && *p <= 'z')
            return "methods are written in capitals";
    return strcmp(method, "CONNECT") == 0 ? "CONNECT asks for a tunnel, not for an answer" : NULL;
}

static const char *wrong_path(const char *path, const char *method)
{
    if (strcmp(path, "*") == 0)
        return strcmp(method, "OPTIONS") == 0 ? NULL : "only the method OPTIONS is sent to \"*\"";
    if (path[0] != '/')
        return "a path starts with /";
    for (const char *p = path; *p != '\0'; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f || *p == '#')
            return "blanks, control bytes, # and bytes beyond ASCII stand percent-encoded in a path";
    return strlen(path) > 8192 ? "too long; a path has at most 8192 bytes" : NULL;
}

const char *http_plan_wrong_host(const char *host)
{
    for (const char *p = host; *p != '\0'; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f || strchr("/?#@\\", *p) != NULL)
            return "not a host; write \"api.example.com\", if need be with \":8080\" behind it";
    return host[0] == '\0' || strlen(host) > 260 ? "not a host; write \"api.example.com\"" : NULL;
}

/* ---- all of it ---- */

static void add_pattern(struct http_plan *p, const char *regex, struct check_complaints *to)
{
    const char *why = NULL;
    int rc = pattern_new(&p->pattern, regex, &why);

    if (rc == -ERR_NOMEM)
        to->no_memory = true;
    else if (rc < 0)
        wrong(to, "body_regex", 0, regex, why);
}

static void check_texts(const struct check_conf *conf, struct check_complaints *to)
{
    const char *method = wrong_method(conf->method), *path = wrong_path(conf->path, conf->method);
    const char *host = conf->host == NULL ? NULL : http_plan_wrong_host(conf->host);
    size_t fields = 0;

    if (method != NULL)
        wrong(to, "method", 0, conf->method, method);
    if (path != NULL)
        wrong(to, "path", 0, conf->path, path);
    if (host != NULL)
        wrong(to, "host", 0, conf->host, host);
    for (size_t i = 0; i < conf->headers.n; i++)
        fields += strlen(conf->headers.v[i]);
    if (conf->headers.n > 100 || fields > 32768)
        wrong(to, "headers", 0, conf->headers.v[0], "too many fields; a check has at most 100, of 32768 bytes together");
    if (conf->body != NULL && (conf->body[0] == '\0' || strlen(conf->body) > HTTP_PLAN_BODY_MOST))
        wrong(to, "body", 0, conf->body, "a text of 1 to 65536 bytes is right");
    if (strcmp(conf->method, "HEAD") == 0 && (conf->body != NULL || conf->body_regex != NULL))
        wrong(to, conf->body != NULL ? "body" : "body_regex", 0, conf->body != NULL ? conf->body : conf->body_regex,
              "the answer to HEAD has no body to look at");
}

void http_plan_make(struct check_conf *conf, struct check_complaints *to)
{
    static const char *usual[] = { "200-399" };
    size_t n = conf->headers.n + 1;
    struct http_plan *p = calloc(1, sizeof *p + n * sizeof p->headers[0]);

    if (p == NULL) {
        to->no_memory = true;
        return;
    }
    conf->compiled = p;
    conf->method = conf->method == NULL ? "GET" : conf->method;
    conf->path = conf->path == NULL ? "/" : conf->path;
    if (conf->expect.n == 0)
        conf->expect = (struct conf_strs){ usual, 1 };
    check_texts(conf, to);
    p->method = method_of(slice_str(conf->method));
    add_statuses(p, &conf->expect, to);
    add_headers(p, &conf->headers, to);
    if (conf->body_regex != NULL)
        add_pattern(p, conf->body_regex, to);
}

void http_plan_free(struct check_conf *conf)
{
    struct http_plan *p = conf->compiled;

    if (p == NULL)
        return;
    pattern_free(&p->pattern);
    free(p);
    conf->compiled = NULL;
}
