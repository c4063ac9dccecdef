/* fuzz_proxy_protocol.c - more bytes never change what fewer have said, and what was read is written so that it reads the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "net/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(int claim)
{
    if (!claim)
        abort();
}

static bool same_ip(const struct ip *a, const struct ip *b)
{
    return a->family == b->family && a->port == b->port && memcmp(a->bytes, b->bytes, a->family == 4 ? 4 : 16) == 0;
}

static void round_trip(const struct proxy_header *h, enum proxy_send how)
{
    struct proxy_client c = { .from = h->from, .to = h->to };
    struct proxy_header again = { .local = true };
    bool told = h->from.family != 0 && h->to.family != 0;
    struct buf out = { 0 };

    proxy_header_write(&out, how, &c);
    if (!out.failed) {
        need(proxy_header_read((const uint8_t *)out.p, out.n, &again) == (int)out.n);
        need(again.local == !told);
        need(!told || h->from.family != h->to.family || (same_ip(&again.from, &h->from) && same_ip(&again.to, &h->to)));
    }
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header h, other;
    int rc = proxy_header_read(data, size, &h);

    need(rc == -ERR_BAD_PROXY_HEADER || (rc == 0 && size < PROXY_HEADER_MOST) || (rc > 0 && (size_t)rc <= size));
    if (rc > 0 && !h.local)
        for (int how = PROXY_SEND_V1; how <= PROXY_SEND_V2_BARE; how++)
            round_trip(&h, (enum proxy_send)how);
    for (size_t n = 0; n < size; n += 1 + size / 32) {
        /* exactly as large as it is, so that a read behind it shows */
        uint8_t *part = malloc(n + (n == 0));
        int fewer;
        if (part == NULL)
            return 0;
        if (n > 0)
            memcpy(part, data, n);
        fewer = proxy_header_read(part, n, &other);
        need(fewer == 0 || fewer == rc);
        need(fewer == rc || rc < 0 || n < (size_t)rc || rc == 0);
        free(part);
    }
    return 0;
}
