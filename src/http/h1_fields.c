/* h1_fields.c - field lines, and what they say together about framing and the connection. */
#include "http/h1_fields.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "http/field_list.h"
#include "http/h1_scan.h"
#include "http/header_names.h"

#define LETTER(c) (((c) | 0x20) >= 'a' && ((c) | 0x20) <= 'z')
#define DIGIT(c)  ((c) >= '0' && (c) <= '9')
#define HEX(c)    (DIGIT(c) || (((c) | 0x20) >= 'a' && ((c) | 0x20) <= 'f'))
#define MARK(c)   ((c) == '!' || (c) == '$' || (c) == '&' || (c) == '\'' || (c) == '*' || (c) == '+')
#define TCHAR(c)                                                                                                             \
    (LETTER(c) || DIGIT(c) || MARK(c) || (c) == '#' || (c) == '%' || (c) == '-' || (c) == '.' || (c) == '^' || (c) == '_' || \
     (c) == '`' || (c) == '|' || (c) == '~')
#define REGNAME(c)                                                                                                           \
    (LETTER(c) || DIGIT(c) || MARK(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~' || (c) == '(' || (c) == ')' || \
     (c) == ';' || (c) == '=')
#define CLASS(c)                                                                                                \
    ((TCHAR(c) ? H1_TOKEN : 0) | ((((c) >= 0x20 && (c) != 0x7f) || (c) == '\t') ? H1_VALUE : 0) |               \
     (((c) > 0x20 && (c) < 0x7f && (c) != '#' && (c) != '?') ? H1_TARGET : 0) | (REGNAME(c) ? H1_REGNAME : 0) | \
     (HEX(c) ? H1_HEX : 0) | (DIGIT(c) ? H1_DIGIT : 0) | ((HEX(c) || (c) == ':' || (c) == '.') ? H1_LITERAL : 0))
#define CLASS4(c)  CLASS(c), CLASS((c) + 1), CLASS((c) + 2), CLASS((c) + 3)
#define CLASS16(c) CLASS4(c), CLASS4((c) + 4), CLASS4((c) + 8), CLASS4((c) + 12)
#define CLASS64(c) CLASS16(c), CLASS16((c) + 16), CLASS16((c) + 32), CLASS16((c) + 48)
const uint8_t h1_class[256] = { CLASS64(0), CLASS64(64), CLASS64(128), CLASS64(192) };

/* 1*DIGIT up to 2^63 - 1 in at most 19 digits, and nothing else: no sign, no list, no space. */
static bool read_length(struct slice s, uint64_t *out)
{
    uint64_t v = 0;

    if (s.n == 0 || s.n > 19)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!h1_is(s.p[i], H1_DIGIT))
            return false;
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    *out = v;
    return v <= INT64_MAX;
}

/* One member of Transfer-Encoding that is not "chunked": token *( ";" anything printable but quotes and commas ). */
static bool is_other_coding(struct slice s)
{
    size_t token = h1_scan_token(s.p, s.n);
    struct slice rest = field_trim(slice_of(s.p + token, s.n - token));

    if (token == 0)
        return false;
    if (WORD_IS(slice_of(s.p, token), "chunked")) /* with parameters: RFC 9112 7.1 has none */
        return false;
    return rest.n == 0 || (rest.p[0] == ';' && memchr(rest.p, '"', rest.n) == NULL);
}

/*
 * "chunked" alone is what we speak.  A well-formed list of other codings, whose last may be "chunked", is something that we
 * lack (501); all the rest could be read in two ways: "chunked" twice or not last, empty members, parameters on it.
 */
static enum h1_coding read_coding(struct slice s)
{
    struct slice member;

    if (WORD_IS(s, "chunked"))
        return H1_CODING_CHUNKED;
    for (;;) {
        const char *comma = memchr(s.p, ',', s.n);

        member = field_trim(slice_of(s.p, comma == NULL ? s.n : (size_t)(comma - s.p)));
        if (comma == NULL && WORD_IS(member, "chunked"))
            return H1_CODING_OTHER;
        if (!is_other_coding(member))
            return H1_CODING_BAD;
        if (comma == NULL)
            return H1_CODING_OTHER;
        s = slice_of(comma + 1, s.n - (size_t)(comma + 1 - s.p));
    }
}

static void read_connection(struct h1_meaning *out, struct slice value)
{
    struct slice option;

    if (WORD_IS(value, "keep-alive")) { /* as nearly always */
        out->keep_alive = true;
        return;
    }
    while (field_list_next(&value, &option)) {
        switch (option.n) {
        case 5: out->close |= WORD_IS(option, "close"); break;
        case 7: out->upgrade |= WORD_IS(option, "upgrade"); break;
        case 10: out->keep_alive |= WORD_IS(option, "keep-alive"); break;
        default: break;
        }
    }
}

static bool lists_trailers(struct slice value)
{
    struct slice coding;

    while (field_list_next(&value, &coding))
        if (WORD_IS(coding, "trailers"))
            return true;
    return false;
}

static void read_field(struct h1_meaning *say, const struct header *h)
{
    struct slice value = header_value_of(h);

    switch (h->id) {
    case HEADER_HOST:
        say->bad_host |= say->has_host;
        say->has_host = true;
        say->host = value;
        break;
    case HEADER_CONNECTION: read_connection(say, value); break;
    case HEADER_CONTENT_LENGTH: /* twice is bad even if both say the same */
        say->bad_length |= say->has_length || !read_length(value, &say->content_length);
        say->has_length = true;
        break;
    case HEADER_TRANSFER_ENCODING: say->coding = say->coding == H1_CODING_NONE ? read_coding(value) : H1_CODING_BAD; break;
    case HEADER_TE: say->te_trailers |= lists_trailers(value); break;
    case HEADER_UPGRADE: say->has_upgrade = true; break;
    case HEADER_EXPECT:
        if (WORD_IS(value, "100-continue"))
            say->expect_continue = true;
        else
            say->bad_expect = true;
        break;
    default: break;
    }
}

#define BIT(id) (UINT64_C(1) << HEADER_##id)
static const uint64_t that_matter = BIT(HOST) | BIT(CONNECTION) | BIT(CONTENT_LENGTH) | BIT(TRANSFER_ENCODING) | BIT(TE) |
                                    BIT(UPGRADE) | BIT(EXPECT);
_Static_assert(HEADER_COUNT <= 64, "a bit for each known field");

static inline void set_value(struct header *h, const char *p, const char *end)
{
    if (UNLIKELY((uint8_t)p[0] <= ' ' || (uint8_t)end[-1] <= ' ')) { /* p[0] is CR when there is no value */
        while (p < end && field_is_space(p[0]))
            p++;
        while (p < end && field_is_space(end[-1]))
            end--;
    }
    h->value = p;
    h->value_len = (uint16_t)(end - p);
}

static inline void set_name(struct header *h, const char *p, size_t n, unsigned id)
{
    h->name = p;
    h->name_len = (uint16_t)n;
    h->id = (uint8_t)id;
    h->dropped = false;
}

/* "name: value CRLF" at the start of p, where at least one byte stands: its length, 0 or an error. */
static int field_line(struct header *h, const char *p, size_t n)
{
    size_t name = h1_scan_token(p, n), at, stop;

    if (name == n)
        return 0;
    if (p[name] != ':' || name == 0) /* also obs-fold, and white space before the colon (RFC 9112 5.1, 5.2) */
        return -ERR_BAD_HEADER;
    at = name + 1;
    stop = at + h1_scan_value(p + at, n - at);
    if (n - stop < 2)
        return stop < n && p[stop] != '\r' ? -ERR_BAD_HEADER : 0;
    if (p[stop] != '\r' || p[stop + 1] != '\n')
        return -ERR_BAD_HEADER;
    set_value(h, p + at, p + stop);
    set_name(h, p, name, header_id(slice_of(p, name)));
    return (int)(stop + 2);
}

#ifdef __SSE2__
#define FAST_LEAST 32 /* the bytes that have to be there: a name of 15, ": " and more */

/* field_line() for what nearly all fields are like; 0: this one isn't, look at it closely. */
static inline int field_line_fast(struct header *h, const char *p, const char *end)
{
    __m128i x = h1_load16(p), lower = _mm_or_si128(x, h1_splat(0x20));
    unsigned colon = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, h1_splat(':'))), name, id, same;
    const char *value, *stop;

    colon &= ~1u; /* one at the start is no token either */
    if (UNLIKELY(colon == 0))
        return 0;
    name = (unsigned)__builtin_ctz(colon);
    id = header_candidates[name][(uint8_t)p[0] & 31];
    same = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(lower, h1_load16(header_names[id])));
    if ((unsigned)__builtin_ctz(~same) < name) /* not that name; NUL, the name of HEADER_OTHER, is none */
        id = HEADER_OTHER;
    /* Also of a name that is the same: bit 5 makes '-' of CR, too. */
    if (UNLIKELY((unsigned)__builtin_ctz(~h1_plain_token(x, lower)) < name))
        return 0;
    value = stop = p + name + 1 + (p[name + 1] == ' ');
    for (;;) {
        unsigned odd;

        if (UNLIKELY(end - stop < 18)) /* CRLF included */
            return 0;
        odd = h1_plain_value(h1_load16(stop)) ^ 0xffffu;
        if (odd != 0) {
            stop += __builtin_ctz(odd);
            break;
        }
        stop += 16;
    }
    if (UNLIKELY(memcmp(stop, "\r\n", 2) != 0))
        return 0;
    set_value(h, value, stop);
    set_name(h, p, name, id);
    return (int)(stop + 2 - p);
}
#else
#define FAST_LEAST PTRDIFF_MAX
static inline int field_line_fast(struct header *h, const char *p, const char *end)
{
    (void)h, (void)p, (void)end;
    return 0;
}
#endif

int h1_fields_parse(struct message *m, const char *bytes, size_t n, unsigned most, struct h1_meaning *say)
{
    const char *p = bytes, *end = bytes + n;
    struct header *h = m->headers, *last, extra;

    if (most > m->cap_headers)
        most = m->cap_headers;
    last = h + most;
    m->n_headers = 0;
    while (p < end && *p != '\r') {
        int rc = 0;

        if (LIKELY(end - p >= FAST_LEAST && h < last))
            rc = field_line_fast(h, p, end);
        if (UNLIKELY(rc == 0)) {
            rc = field_line(h < last ? h : &extra, p, (size_t)(end - p));
            if (rc <= 0)
                return rc;
            if (h == last) /* a well-formed one too many */
                return -ERR_TOO_MANY_HEADERS;
        }
        if ((that_matter >> h->id & 1) != 0)
            read_field(say, h);
        p += rc;
        h++;
    }
    if (end - p < 2)
        return 0;
    if (p[1] != '\n')
        return -ERR_BAD_HEADER;
    m->n_headers = (uint16_t)(h - m->headers);
    return (int)(p + 2 - bytes);
}

/* An empty line, or the beginning of one, after a line feed: an end, or a mistake that the parser has to report. */
static bool has_end(const char *bytes, size_t from, size_t n)
{
    while (from + 1 < n) {
        const char *lf = memchr(bytes + from, '\n', n - from - 1);

        if (lf == NULL)
            return false;
        if (lf[1] == '\r' || lf[1] == '\n')
            return true;
        from = (size_t)(lf - bytes) + 1;
    }
    return false;
}

bool h1_worth_parsing(const char *bytes, size_t n, size_t seen, size_t head_most, size_t line_most)
{
    if (seen < 4 || seen > n || n >= head_most)
        return true;
    if (seen < line_most + 4 && n >= line_most + 2) /* with and without an empty line before it */
        return true;
    return has_end(bytes, seen - 2, n);
}

/* What follows the host: nothing, or a colon and a port, which may be empty (RFC 3986 3.2.3). */
static bool is_port(const char *p, size_t n)
{
    unsigned port = 0;

    if (n == 0)
        return true;
    if (p[0] != ':' || n > 6)
        return false;
    for (size_t i = 1; i < n; i++) {
        if (!h1_is(p[i], H1_DIGIT))
            return false;
        port = port * 10 + (unsigned)(p[i] - '0');
    }
    return port <= 65535;
}

/* "[" IPv6 "]" and perhaps a port; a zone or IPvFuture is refused: nothing can be reached by them through a proxy. */
static bool is_literal(struct slice s)
{
    size_t i = h1_scan_class(s.p, 1, s.n, H1_LITERAL);
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (i == s.n || s.p[i] != ']' || i - 1 >= sizeof(text))
        return false;
    memcpy(text, s.p + 1, i - 1);
    text[i - 1] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1 && is_port(s.p + i + 1, s.n - i - 1);
}

bool h1_authority_is_valid(struct slice s)
{
    size_t i = 0;

    if (s.n == 0)
        return false;
    if (s.p[0] == '[')
        return is_literal(s);
    for (;;) {
        i = h1_scan_class(s.p, i, s.n, H1_REGNAME);
        if (s.n - i < 3 || s.p[i] != '%')
            break;
        if (!h1_is(s.p[i + 1], H1_HEX) || !h1_is(s.p[i + 2], H1_HEX))
            return false;
        i += 3;
    }
    return i > 0 && is_port(s.p + i, s.n - i);
}
