/* conf_key.c - texts with units to numbers. */
#include "base/conf_key.h"

#include <stdlib.h>
#include <string.h>

const char *conf_parse_bool(const char *text, bool *out)
{
    if (strcmp(text, "true") == 0)
        *out = true;
    else if (strcmp(text, "false") == 0)
        *out = false;
    else
        return "not a bool; write true or false";
    return NULL;
}

/* The digits at the start of *text; moves *text past them.  False: none, or too large. */
static bool take_digits(const char **text, uint64_t *out)
{
    const char *p = *text;
    uint64_t n = 0;

    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (n > (UINT64_MAX - 9) / 10)
            return false;
        n = n * 10 + (uint64_t)(*p - '0');
    }
    *text = p;
    *out = n;
    return true;
}

static bool starts_with_digit(const char *text) { return *text >= '0' && *text <= '9'; }

const char *conf_parse_uint(const char *text, uint32_t *out)
{
    uint64_t n;

    if (!starts_with_digit(text))
        return "not a whole number; write digits only, like 10";
    if (!take_digits(&text, &n) || n > UINT32_MAX)
        return "too large; at most 4294967295";
    if (*text != '\0')
        return "not a whole number; write digits only, like 10";
    *out = (uint32_t)n;
    return NULL;
}

const char *conf_parse_float(const char *text, double *out)
{
    const char *end = text + strspn(text, "0123456789");

    if (end > text && *end == '.' && starts_with_digit(end + 1))
        end += 1 + strspn(end + 1, "0123456789");
    if (end == text || *end != '\0')
        return "not a number; write it like 1.25";
    *out = strtod(text, NULL);
    return NULL;
}

const char *conf_parse_time(const char *text, int64_t *out)
{
    static const struct {
        const char *word;
        int64_t us;
    } units[] = {
        { "us", 1 },
        { "ms", 1000 },
        { "s", 1000000 },
        { "m", 60000000 },
        { "h", INT64_C(3600000000) },
        { "d", INT64_C(86400000000) },
    };
    uint64_t n;

    if (!starts_with_digit(text))
        return "not a duration; write a whole number and a unit, like \"10s\"";
    if (!take_digits(&text, &n))
        return "too long a duration";
    if (*text == '\0' && n == 0) {
        *out = 0;
        return NULL;
    }
    if (*text == '\0')
        return "a unit is missing; write one of us, ms, s, m, h, d behind it, like \"10s\"";
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(text, units[i].word) != 0)
            continue;
        if (n > (uint64_t)(INT64_MAX / units[i].us))
            return "too long a duration";
        *out = (int64_t)n * units[i].us;
        return NULL;
    }
    if (*text == '.')
        return "not a whole number; take a smaller unit, like \"1500ms\" for one and a half seconds";
    return "unknown unit; write one of us, ms, s, m, h, d, like \"10s\"";
}

const char *conf_parse_size(const char *text, uint64_t *out)
{
    static const char letters[] = "KMGT";
    const char *letter;
    unsigned shift = 0;
    uint64_t n;

    if (!starts_with_digit(text))
        return "not a size; write a whole number and, if need be, one of K, M, G, T, like \"64K\"";
    if (!take_digits(&text, &n))
        return "too large a size";
    if (*text != '\0') {
        letter = strchr(letters, *text);
        if (letter == NULL || text[1] != '\0')
            return "unknown unit; write one of K, M, G, T (powers of 1024), like \"64K\"";
        shift = 10 * (unsigned)(letter - letters + 1);
    }
    if (n > UINT64_MAX >> shift)
        return "too large a size";
    *out = n << shift;
    return NULL;
}

const char *conf_parse_rate(const char *text, double *out)
{
    uint64_t n;
    double seconds;

    if (!starts_with_digit(text))
        return "not a rate; write a whole number and a unit, like \"100/s\"";
    if (!take_digits(&text, &n) || n > 1000000000u)
        return "too high a rate; at most 1000000000 a unit";
    if (strcmp(text, "/s") == 0)
        seconds = 1;
    else if (strcmp(text, "/m") == 0)
        seconds = 60;
    else if (strcmp(text, "/h") == 0)
        seconds = 3600;
    else
        return "unknown unit; write /s, /m or /h behind it, like \"100/s\"";
    *out = (double)n / seconds;
    return NULL;
}

bool conf_same_text(const char *a, const char *b) { return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0); }

bool conf_same_texts(const struct conf_strs *a, const struct conf_strs *b)
{
    size_t n_a = a == NULL ? 0 : a->n, n_b = b == NULL ? 0 : b->n;

    if (n_a != n_b)
        return false;
    for (size_t i = 0; i < n_a; i++)
        if (!conf_same_text(a->v[i], b->v[i]))
            return false;
    return true;
}
