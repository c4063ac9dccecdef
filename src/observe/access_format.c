/* access_format.c - lines by hand: no format strings on this path. */
#include "observe/access_format.h"

#include "base/clock.h"
#include "base/date.h"
#include "base/decimal.h"
#include "base/err.h"
#include "base/json.h"

/* Where the next byte goes; NULL once something did not fit, which sticks. */
struct line {
    char *at;
    const char *end;
};

static void put(struct line *l, const char *p, size_t n)
{
    if (l->at == NULL || n > (size_t)(l->end - l->at)) {
        l->at = NULL;
        return;
    }
    if (n > 0)
        memcpy(l->at, p, n);
    l->at += n;
}
#define PUT(l, literal) put(l, "" literal, sizeof(literal) - 1)

static void put_number(struct line *l, uint64_t n)
{
    char text[DECIMAL_MOST];

    put(l, text, decimal_put(text, n));
}

/* A signed one where less than nothing can only be a clock that was set back. */
static void put_count(struct line *l, int64_t n) { put_number(l, n > 0 ? (uint64_t)n : 0); }

static struct slice cut(struct slice s)
{
    if (s.n > ACCESS_TEXT_MOST)
        s.n = ACCESS_TEXT_MOST;
    return s;
}

static bool is_plain(unsigned char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

static void put_hex(struct line *l, unsigned char c)
{
    static const char hex[] = "0123456789ABCDEF";
    char text[4] = { '\\', 'x', hex[c >> 4], hex[c & 15] };

    put(l, text, sizeof text);
}

/* Runs of plain bytes are copied at once; most texts are one run. */
static void put_escaped(struct line *l, struct slice s)
{
    size_t from = 0, i;

    if (s.n == 0)
        return;
    s = cut(s);
    for (i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (is_plain(c))
            continue;
        put(l, s.p + from, i - from);
        put_hex(l, c);
        from = i + 1;
    }
    put(l, s.p + from, i - from);
}

static void put_or_dash(struct line *l, struct slice s)
{
    if (s.n == 0)
        PUT(l, "-");
    else
        put_escaped(l, s);
}

/* The current second as both formats write it: "02/Jan/2026:03:04:05 +0000" and "2026-01-02T03:04:05". */
struct second_text {
    int64_t second;
    char combined[26], iso[19];
};

static void write_second(struct second_text *t, int64_t second)
{
    struct date d;
    char *p;

    date_of(second, &d);
    p = date_digits(t->combined, d.day, 2);
    *p++ = '/';
    memcpy(p, date_months[d.month - 1], 3);
    p[3] = '/';
    p = date_digits(p + 4, d.year, 4);
    *p++ = ':';
    p = date_digits(p, d.hour, 2);
    *p++ = ':';
    p = date_digits(p, d.minute, 2);
    *p++ = ':';
    p = date_digits(p, d.second, 2);
    memcpy(p, " +0000", 6);

    p = date_digits(t->iso, d.year, 4);
    *p++ = '-';
    p = date_digits(p, d.month, 2);
    *p++ = '-';
    p = date_digits(p, d.day, 2);
    *p++ = 'T';
    memcpy(p, t->combined + 12, 8);
    t->second = second;
}

static const struct second_text *text_of_second(int64_t second)
{
    static _Thread_local struct second_text last = { .second = INT64_MIN };

    if (last.second != second)
        write_second(&last, second);
    return &last;
}

static int64_t second_of(int64_t us) { return us > 0 ? us / CLOCK_S : 0; }

static void put_protocol(struct line *l, const struct access_record *r)
{
    char text[8] = { 'H', 'T', 'T', 'P', '/', (char)('0' + r->major % 10), '.', (char)('0' + r->minor % 10) };

    put(l, text, sizeof text);
}

static void combined(struct line *l, const struct access_record *r)
{
    put_or_dash(l, r->client);
    PUT(l, " - - [");
    put(l, text_of_second(second_of(r->started))->combined, 26);
    PUT(l, "] \"");
    if (r->method.n == 0) {
        PUT(l, "-");
    } else {
        put_escaped(l, r->method);
        PUT(l, " ");
        put_escaped(l, r->target);
        PUT(l, " ");
        put_protocol(l, r);
    }
    PUT(l, "\" ");
    put_count(l, r->status);
    PUT(l, " ");
    if (r->sent == 0)
        PUT(l, "-");
    else
        put_number(l, r->sent);
    PUT(l, " \"");
    put_or_dash(l, r->referer);
    PUT(l, "\" \"");
    put_or_dash(l, r->user_agent);
    PUT(l, "\"\n");
}

static void put_json(struct line *l, const char *key, size_t n, struct slice s)
{
    bool too_long = false;

    put(l, key, n);
    if (l->at != NULL)
        l->at = json_escape(l->at, l->end, cut(s), &too_long);
    if (too_long)
        l->at = NULL;
    PUT(l, "\"");
}
#define PUT_JSON(l, key, s) put_json(l, ",\"" key "\":\"", sizeof(",\"" key "\":\"") - 1, s)

static void put_json_number(struct line *l, const char *key, size_t n, uint64_t value)
{
    put(l, key, n);
    put_number(l, value);
}
#define PUT_JSON_NUMBER(l, key, value) put_json_number(l, ",\"" key "\":", sizeof(",\"" key "\":") - 1, value)

static uint64_t count(int64_t n) { return n > 0 ? (uint64_t)n : 0; }

/* "2026-01-02T03:04:05.678901Z" */
static void put_json_time(struct line *l, int64_t started)
{
    char fraction[8] = ".";

    put(l, text_of_second(second_of(started))->iso, 19);
    (void)date_digits(fraction + 1, (int)(count(started) % (uint64_t)CLOCK_S), 6);
    fraction[7] = 'Z';
    put(l, fraction, sizeof fraction);
}

static void json_request(struct line *l, const struct access_record *r)
{
    PUT(l, "{\"time\":\"");
    put_json_time(l, r->started);
    PUT(l, "\"");
    PUT_JSON(l, "client", r->client);
    PUT_JSON(l, "method", r->method);
    PUT_JSON(l, "host", r->host);
    PUT_JSON(l, "target", r->target);
    PUT(l, ",\"protocol\":\"");
    put_protocol(l, r);
    PUT(l, "\"");
    PUT_JSON_NUMBER(l, "bytes_received", r->received);
    PUT_JSON(l, "referer", r->referer);
    PUT_JSON(l, "user_agent", r->user_agent);
    PUT_JSON(l, "request_id", r->request_id);
    PUT_JSON(l, "tls", r->tls_version);
    PUT_JSON(l, "tls_name", r->tls_name);
    PUT_JSON(l, "tls_identity", r->tls_identity);
}

static void json(struct line *l, const struct access_record *r)
{
    json_request(l, r);
    PUT_JSON_NUMBER(l, "status", count(r->status));
    PUT_JSON(l, "reason", slice_str(err_word(r->reason)));
    PUT_JSON_NUMBER(l, "bytes_sent", r->sent);
    PUT_JSON_NUMBER(l, "duration_us", count(r->duration_us));
    if (r->first_byte_us < 0)
        PUT(l, ",\"first_byte_us\":null");
    else
        PUT_JSON_NUMBER(l, "first_byte_us", (uint64_t)r->first_byte_us);
    PUT_JSON(l, "listener", r->listener);
    PUT_JSON(l, "route", r->route);
    PUT_JSON(l, "pool", r->pool);
    PUT_JSON(l, "backend", r->backend);
    PUT_JSON_NUMBER(l, "attempts", r->attempts);
    if (r->reused)
        PUT(l, ",\"reused\":true}\n");
    else
        PUT(l, ",\"reused\":false}\n");
}

char *access_format(char *at, const char *end, enum access_format format, const struct access_record *r)
{
    struct line l = { at, end };

    if (format == ACCESS_JSON)
        json(&l, r);
    else
        combined(&l, r);
    return l.at;
}
