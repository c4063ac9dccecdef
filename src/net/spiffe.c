/* spiffe.c - the text of an identity, part by part. */
#include "net/spiffe.h"

#define DOMAIN_MOST 255u

enum { SCHEME = sizeof("spiffe://") - 1 };

static bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
static bool is_domain_byte(char c) { return is_lower_or_digit(c) || c == '.' || c == '-' || c == '_'; }
static bool is_path_byte(char c) { return is_domain_byte(c) || (c >= 'A' && c <= 'Z'); }

/* Takes the next part off a path that begins with a slash. */
static struct slice next_part(struct slice *path)
{
    size_t n = 1;
    struct slice part;

    while (n < path->n && path->p[n] != '/')
        n++;
    part = slice_of(path->p + 1, n - 1);
    *path = slice_of(path->p + n, path->n - n);
    return part;
}

static const char *wrong_part(struct slice part, bool stars)
{
    if (part.n == 0)
        return "its path has an empty part, or a slash at the end";
    if (slice_eq(part, SLICE(".")) || slice_eq(part, SLICE("..")))
        return "its path has a part that is . or ..";
    if (stars && slice_eq(part, SLICE("*")))
        return NULL;
    for (size_t i = 0; i < part.n; i++) {
        if (stars && part.p[i] == '*')
            return "a * stands for a whole part of the path: \"spiffe://prod.example/web/*\"";
        if (!is_path_byte(part.p[i]))
            return "its path holds more than letters, digits, '.', '-', '_' and '/'";
    }
    return NULL;
}

static const char *wrong_domain(struct slice domain)
{
    if (domain.n == 0)
        return "it has no trust domain";
    if (domain.n > DOMAIN_MOST)
        return "its trust domain is too long";
    for (size_t i = 0; i < domain.n; i++)
        if (!is_domain_byte(domain.p[i]))
            return "its trust domain holds more than small letters, digits, '.', '-' and '_'";
    return NULL;
}

static const char *parse(struct slice text, bool stars, struct spiffe_id *out)
{
    struct slice path;
    const char *wrong;
    size_t n = SCHEME;

    if (text.n > SPIFFE_MOST)
        return "it is longer than 2048 bytes";
    if (!slice_starts(text, SLICE("spiffe://")))
        return "it does not begin with spiffe://";
    while (n < text.n && text.p[n] != '/')
        n++;
    *out = (struct spiffe_id){ slice_of(text.p + SCHEME, n - SCHEME), slice_of(text.p + n, text.n - n) };
    wrong = wrong_domain(out->domain);
    path = out->path;
    while (wrong == NULL && path.n > 0)
        wrong = wrong_part(next_part(&path), stars);
    return wrong;
}

const char *spiffe_parse(struct slice text, struct spiffe_id *out) { return parse(text, false, out); }

bool spiffe_is_domain(struct slice name) { return wrong_domain(name) == NULL; }

const char *spiffe_pattern_wrong(const char *pattern)
{
    struct spiffe_id ignored;

    return parse(slice_str(pattern), true, &ignored);
}

static bool path_matches(struct slice pattern, struct slice path)
{
    while (pattern.n > 0 && path.n > 0) {
        struct slice want = next_part(&pattern), have = next_part(&path);
        bool star = slice_eq(want, SLICE("*"));

        if (star && pattern.n == 0)
            return true;
        if (!star && !slice_eq(want, have))
            return false;
    }
    return pattern.n == 0 && path.n == 0;
}

bool spiffe_matches(const char *pattern, struct slice id)
{
    struct spiffe_id want, have;

    if (parse(slice_str(pattern), true, &want) != NULL || parse(id, false, &have) != NULL)
        return false;
    return slice_eq(want.domain, have.domain) && path_matches(want.path, have.path);
}
