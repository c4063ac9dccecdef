/* fuzz_spiffe.c - an ID that is read is made of what it was made of, and takes itself as a pattern; patterns never crash. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/spiffe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool claim)
{
    if (!claim)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size);
    struct spiffe_id id;
    char *copy = malloc(size + 1);

    if (copy == NULL)
        return 0;
    if (size > 0)
        memcpy(copy, data, size);
    copy[size] = '\0';
    if (spiffe_parse(text, &id) == NULL) {
        need(id.domain.n > 0 && 9 + id.domain.n + id.path.n == size);
        need(memchr(data, '%', size) == NULL && memchr(data, '\0', size) == NULL && memchr(data, '*', size) == NULL);
        need(spiffe_pattern_wrong(copy) == NULL && spiffe_matches(copy, text));
        need(id.path.n == 0 || id.path.p[id.path.n - 1] != '/');
    } else {
        need(!spiffe_matches(copy, text));
    }
    (void)spiffe_matches(copy, SLICE("spiffe://prod.example/ns/a/sa/b"));
    free(copy);
    return 0;
}
