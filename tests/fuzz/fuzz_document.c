/*
 * fuzz_document.c - any text as a list of backends, and as one.
 *
 * Claims: no crash, no leak, no stack of any depth; what is refused has a reason; what is taken holds its limits, and each address
 * once.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "discovery/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_found(const struct found *f)
{
    MUST(f->weight <= 1000 && f->priority <= FOUND_PRIORITY_MOST && f->max_connections <= 1000000);
    MUST(f->addr.len > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size);
    struct found_list l = { 0 };
    char why[SOURCE_WHY] = "";
    struct found one;

    if (document_list(text, &l, why) < 0)
        MUST(why[0] != '\0' && strlen(why) < sizeof why);
    for (size_t i = 0; i < l.n; i++) {
        struct addr again;
        check_found(&l.v[i]);
        MUST(addr_parse(l.v[i].name, &again, NULL) == NULL && addr_equal(&again, &l.v[i].addr));
        for (size_t k = 0; k < i && i < 100; k++)
            MUST(!addr_equal(&l.v[i].addr, &l.v[k].addr));
    }
    found_list_free(&l);
    why[0] = '\0';
    if (document_one(text, NULL, &one, why) == 0)
        check_found(&one);
    else
        MUST(why[0] != '\0');
    return 0;
}
