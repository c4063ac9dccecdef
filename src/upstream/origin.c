/* origin.c - what is told of a client to backends. */
#include "upstream/origin.h"

#include <stdlib.h>

#include "base/err.h"
#include "net/stream_tls.h"
#include "upstream/lease.h"

struct origin *origin_new(const struct stream *client, const struct ip *from, const struct ip *to)
{
    struct origin *o = malloc(sizeof *o);

    if (o == NULL)
        return NULL;
    *o = (struct origin){ .from = *from, .to = *to, .client = client };
    list_init(&o->kept);
    return o;
}

void origin_free(struct origin **op)
{
    struct origin *o = *op;

    *op = NULL;
    if (o == NULL)
        return;
    keepalive_close_of(o);
    free(o);
}

/* `facts` is where some of the texts stand. */
static struct proxy_client client_of(const struct origin *o, struct tls_facts *facts)
{
    const struct tls_identity *id = stream_tls_identity(o->client);
    struct proxy_client c = { .from = o->from, .to = o->to, .secure = o->client->tls != NULL };

    if (!c.secure)
        return c;
    stream_tls_facts(o->client, facts);
    c.has_certificate = id != NULL;
    c.resumed = stream_tls_resumed(o->client);
    c.name = stream_tls_name(o->client);
    c.protocol = stream_tls_protocol(o->client);
    c.version = stream_tls_version(o->client);
    c.cipher = slice_str(facts->cipher);
    c.common_name = slice_str(facts->common_name);
    c.signature = slice_str(facts->signature);
    c.key = slice_str(facts->key);
    c.spiffe = slice_str(id == NULL ? "" : id->spiffe);
    return c;
}

int origin_announce(const struct origin *o, enum proxy_send how, struct stream *to, int64_t deadline)
{
    struct tls_facts facts;
    struct proxy_client c = client_of(o, &facts);
    struct buf header = { 0 };
    int rc;

    proxy_header_write(&header, how, &c);
    rc = header.failed ? -ERR_NOMEM : stream_write_bytes(to, header.p, header.n, deadline);
    buf_free(&header);
    return rc;
}
