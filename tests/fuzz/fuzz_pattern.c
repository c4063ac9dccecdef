/*
 * fuzz_pattern.c - regular expressions, and texts to look for them in.
 *
 * Input: an expression, a NUL, a text.  Claims: what is accepted can be searched for; the text says the same whole and byte by
 * byte; and each byte costs no more than is promised, or this takes too long.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "base/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool found(const struct pattern *p, struct slice text, size_t at_once)
{
    struct pattern_search *s = pattern_search_new(p);
    bool is = false;

    MUST(s != NULL);
    while (text.n > 0 && !is) {
        size_t n = text.n < at_once ? text.n : at_once;
        is = pattern_search_feed(s, slice_of(text.p, n));
        text = slice_of(text.p + n, text.n - n);
    }
    is = is || pattern_search_end(s);
    pattern_search_free(&s);
    return is;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pattern *p = NULL;
    const char *why = NULL;
    char *expression = strndup((const char *)data, size);
    size_t n;
    int rc;

    MUST(expression != NULL);
    n = strlen(expression);
    rc = pattern_new(&p, expression, &why);
    MUST(rc == 0 || (rc == -ERR_INVALID && why != NULL));
    if (rc == 0) {
        struct slice text = n < size ? slice_of((const char *)data + n + 1, size - n - 1) : slice_of("", 0);
        MUST(found(p, text, SIZE_MAX) == found(p, text, 1));
    }
    pattern_free(&p);
    free(expression);
    return 0;
}
