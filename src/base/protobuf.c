/* protobuf.c - varints, and what they introduce. */
#include "base/protobuf.h"

#include "base/err.h"

#define NUMBER_MOST ((UINT64_C(1) << 29) - 1)

/* False: it goes on past the end, or past 64 bits. */
static bool take_varint(struct slice *in, uint64_t *out)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 10 && i < in->n; i++) {
        uint64_t byte = (unsigned char)in->p[i];
        if (i == 9 && byte > 1)
            return false;
        v |= (byte & 0x7f) << 7 * i;
        if (byte < 0x80) {
            *in = slice_of(in->p + i + 1, in->n - i - 1);
            *out = v;
            return true;
        }
    }
    return false;
}

static bool take_fixed(struct slice *in, size_t n, uint64_t *out)
{
    uint64_t v = 0;

    if (in->n < n)
        return false;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)(unsigned char)in->p[i] << 8 * i;
    *in = slice_of(in->p + n, in->n - n);
    *out = v;
    return true;
}

static bool take_bytes(struct slice *in, struct slice *out)
{
    uint64_t n;

    if (!take_varint(in, &n) || n > in->n)
        return false;
    *out = slice_of(in->p, (size_t)n);
    *in = slice_of(in->p + n, in->n - (size_t)n);
    return true;
}

int pb_next(struct slice *in, struct pb_field *f)
{
    uint64_t tag;
    bool good;

    if (in->n == 0)
        return 0;
    *f = (struct pb_field){ .number = 0 };
    if (!take_varint(in, &tag) || tag >> 3 == 0 || tag >> 3 > NUMBER_MOST)
        return -ERR_INVALID;
    f->number = (uint32_t)(tag >> 3);
    f->type = (enum pb_type)(tag & 7);
    switch (f->type) {
    case PB_VARINT: good = take_varint(in, &f->value); break;
    case PB_FIXED64: good = take_fixed(in, 8, &f->value); break;
    case PB_BYTES: good = take_bytes(in, &f->bytes); break;
    case PB_FIXED32: good = take_fixed(in, 4, &f->value); break;
    default: good = false;
    }
    return good ? 1 : -ERR_INVALID;
}

static size_t put_varint(char *out, uint64_t v)
{
    size_t n = 0;

    for (; v >= 0x80; v >>= 7)
        out[n++] = (char)(v | 0x80);
    out[n++] = (char)v;
    return n;
}

size_t pb_put_head(char out[PB_HEAD_MOST], uint32_t number, size_t n)
{
    size_t tag = put_varint(out, (uint64_t)number << 3 | PB_BYTES);

    return tag + put_varint(out + tag, n);
}
