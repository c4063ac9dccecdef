/* rules.c - "set NAME: VALUE" and its like. */
#include "conf/rules.h"

#include "base/must.h"
#include "http/h1_parse.h"

static bool is_token_byte(unsigned char c)
{
    if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
        return true;
    return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

bool is_token(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_token_byte((unsigned char)s.p[i]))
            return false;
    return s.n > 0;
}

/* CR, LF and NUL would end or split the field on the wire. */
static bool is_value(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static struct slice trimmed(struct slice s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* Splits at the first colon; false: there is none, and *name is all of it. */
static bool split(struct slice s, struct slice *name, struct slice *value)
{
    const char *colon = memchr(s.p, ':', s.n);

    if (colon == NULL) {
        *name = trimmed(s);
        *value = slice_of(s.p + s.n, 0);
        return false;
    }
    *name = slice_of(s.p, (size_t)(colon - s.p));
    *value = trimmed(slice_of(colon + 1, s.n - name->n - 1));
    return true;
}

static bool is_one_of(struct slice name, const struct slice *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (slice_eq_nocase(name, names[i]))
            return true;
    return false;
}

static const char *refused(enum header_rule_op op, struct slice name)
{
    static const struct slice framing[] = { { "content-length", 14 }, { "transfer-encoding", 17 } };
    static const struct slice hop[] = {
        { "connection", 10 }, { "keep-alive", 10 }, { "proxy-connection", 16 }, { "te", 2 },
        { "trailer", 7 },     { "upgrade", 7 },     { "http2-settings", 14 },
    };

    if (is_one_of(name, framing, ARRAY_LEN(framing)))
        return "this field frames the message; the proxy writes it itself";
    if (is_one_of(name, hop, ARRAY_LEN(hop)))
        return "this field belongs to one connection; the proxy writes it itself";
    if (op != HEADER_SET && slice_eq_nocase(name, SLICE("host")))
        return "there is exactly one Host field; it can only be set";
    return NULL;
}

static bool take_word(struct slice *s, const char *word)
{
    size_t n = strlen(word);

    if (s->n <= n || memcmp(s->p, word, n) != 0 || (s->p[n] != ' ' && s->p[n] != '\t'))
        return false;
    *s = trimmed(slice_of(s->p + n, s->n - n));
    return true;
}

const char *header_rule_parse(const char *text, struct header_rule *out)
{
    struct slice s = trimmed(slice_str(text));
    struct header_rule r;
    const char *wrong;
    bool has_value;

    if (take_word(&s, "set"))
        r.op = HEADER_SET;
    else if (take_word(&s, "add"))
        r.op = HEADER_ADD;
    else if (take_word(&s, "remove"))
        r.op = HEADER_REMOVE;
    else
        return "not a header rule; write \"set NAME: VALUE\", \"add NAME: VALUE\" or \"remove NAME\"";
    has_value = split(s, &r.name, &r.value);
    if (r.op == HEADER_REMOVE && has_value)
        return "a name only is right behind remove: \"remove NAME\"";
    if (r.op != HEADER_REMOVE && !has_value)
        return "no value; write \"set NAME: VALUE\"";
    if (!is_token(r.name))
        return "not a field name; letters, digits and - are right, and no blank before the colon";
    if (!is_value(r.value))
        return "the value holds a control byte (a line break, say)";
    wrong = refused(r.op, r.name);
    if (wrong == NULL && slice_eq_nocase(r.name, SLICE("host")) && !h1_authority_is_valid(r.value))
        return "not a host; write \"set Host: api.example.com\", if need be with \":8080\" behind it";
    if (wrong == NULL)
        *out = r;
    return wrong;
}

const char *header_match_parse(const char *text, struct header_match *out)
{
    struct header_match m = { .any = false };

    m.any = !split(trimmed(slice_str(text)), &m.name, &m.value) || slice_eq(m.value, SLICE("*"));
    if (!is_token(m.name))
        return "not a header condition; write \"NAME: VALUE\", \"NAME: *\" or \"NAME\"";
    if (!is_value(m.value))
        return "the value holds a control byte (a line break, say)";
    *out = m;
    return NULL;
}
