/*
 * fuzz_discovery.c - what name servers and etcd answer, byte by byte.
 *
 * The first byte says what the rest is: an SRV answer, the answer to a range request, a line of a watch.
 * Claims: no crash, no leak; what is taken points to what is there.
 */
#include <stdint.h>
#include <string.h>

#include "base/must.h"
#include "discovery/etcd_answer.h"
#include "discovery/resolver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t touched;

static void srv(const uint8_t *data, size_t size, struct arena *a)
{
    struct question q = { .kind = QUESTION_SRV };

    if (size > 65535 || resolver_parse_srv(&q, data, (int)size, a) < 0)
        return;
    MUST(q.n == 0 || q.ttl >= 0);
    for (size_t i = 0; i < q.n; i++)
        touched += strlen(q.srvs[i].target);
}

static void etcd(struct slice text, bool watch, struct arena *a)
{
    struct etcd_answer out;
    char why[320] = "";
    int rc = watch ? etcd_read_watch(text, &out, a, why, sizeof why) : etcd_read_range(text, &out, a, why, sizeof why);

    MUST(rc == 0 || why[0] != '\0');
    for (size_t i = 0; rc == 0 && i < out.n; i++) {
        MUST(out.v[i].key.n > 0);
        for (size_t k = 0; k < out.v[i].key.n; k++)
            touched += (unsigned char)out.v[i].key.p[k];
        for (size_t k = 0; k < out.v[i].value.n; k++)
            touched += (unsigned char)out.v[i].value.p[k];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;

    if (size == 0)
        return 0;
    arena_init(&a, NULL, 0);
    if (data[0] == 's')
        srv(data + 1, size - 1, &a);
    else
        etcd(slice_of((const char *)data + 1, size - 1), data[0] == 'w', &a);
    arena_free(&a);
    return 0;
}
