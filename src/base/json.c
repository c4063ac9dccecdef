/* json.c - escaping without looking anything up but one table of short escapes. */
#include "base/json.h"

static bool is_tail(unsigned char c) { return (c & 0xc0) == 0x80; }

size_t json_utf8_length(const char *p, size_t n)
{
    const unsigned char *u = (const unsigned char *)p;
    unsigned char low = 0x80, high = 0xbf; /* limits of the second byte: no overlong forms, no surrogates */
    size_t len;

    if (n == 0)
        return 0;
    if (u[0] < 0x80)
        return 1;
    if (u[0] < 0xc2 || u[0] > 0xf4)
        return 0;
    len = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
    if (u[0] == 0xe0)
        low = 0xa0;
    else if (u[0] == 0xed)
        high = 0x9f;
    else if (u[0] == 0xf0)
        low = 0x90;
    else if (u[0] == 0xf4)
        high = 0x8f;
    if (n < len || u[1] < low || u[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if (!is_tail(u[i]))
            return 0;
    return len;
}

static char short_escape(unsigned char c)
{
    switch (c) {
    case '"':
    case '\\': return (char)c;
    case '\b': return 'b';
    case '\f': return 'f';
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    default: return '\0';
    }
}

/* A byte that can't stand for itself, as an escape of 2 or 6 bytes. */
static size_t escape_byte(char out[6], unsigned char c)
{
    static const char hex[] = "0123456789abcdef";

    out[0] = '\\';
    out[1] = short_escape(c);
    if (out[1] != '\0')
        return 2;
    memcpy(out + 1, "u00", 3);
    out[4] = hex[c >> 4];
    out[5] = hex[c & 15];
    return 6;
}

static bool stands_for_itself(unsigned char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

/* The character at `from`, or its escape, which then stands in `escape`.  Sets how many bytes it takes here and there. */
static const char *next_character(const char *from, size_t n, char escape[6], size_t *in, size_t *out)
{
    unsigned char c = (unsigned char)*from;

    *in = *out = c < 0x80 ? 0 : json_utf8_length(from, n);
    if (*in > 0)
        return from;
    *in = 1;
    *out = escape_byte(escape, c);
    return escape;
}

/* Runs that stand for themselves are copied at once; most texts are one run. */
char *json_escape(char *at, const char *end, struct slice s, bool *cut)
{
    size_t i = 0, run, in, out;
    char escape[6];
    const char *from;

    while (i < s.n) {
        for (run = i; run < s.n && stands_for_itself((unsigned char)s.p[run]); run++)
            continue;
        in = out = run - i;
        from = s.p + i;
        if (in == 0)
            from = next_character(from, s.n - i, escape, &in, &out);
        else if (out > (size_t)(end - at))
            in = out = (size_t)(end - at);
        if (out > (size_t)(end - at) || in == 0) {
            if (cut != NULL)
                *cut = true;
            break;
        }
        memcpy(at, from, out);
        at += out;
        i += in;
    }
    return at;
}
