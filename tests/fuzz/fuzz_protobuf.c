/* fuzz_protobuf.c - fields stand inside of the message, one behind the other, and what is written is read again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/protobuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool claim)
{
    if (!claim)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of((const char *)data, size), before = in;
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&in, &f)) == 1) {
        char head[PB_HEAD_MOST];
        need(in.p > before.p && in.p + in.n == before.p + before.n && f.number > 0);
        if (f.type == PB_BYTES) {
            size_t n = pb_put_head(head, f.number, f.bytes.n);
            need(f.bytes.p + f.bytes.n == in.p && n <= (size_t)(f.bytes.p - before.p)); /* as short as can be */
        }
        before = in;
    }
    need(rc < 0 || in.n == 0);
    return 0;
}
