/* svid_message.c - fields of an X509SVIDResponse, one by one. */
#include "net/svid_message.h"

#include "base/must.h"
#include "base/protobuf.h"
#include "net/spiffe.h"

static const char malformed[] = "it is no X509SVIDResponse";

/* The texts and bytes of a message with the field numbers 1 to n: the last of each counts, as in protobuf generally. */
static const char *read_fields(struct slice in, struct slice *const fields[], size_t n)
{
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&in, &f)) == 1) {
        if (f.number > n)
            continue;
        if (f.type != PB_BYTES)
            return malformed;
        *fields[f.number - 1] = f.bytes;
    }
    return rc < 0 ? malformed : NULL;
}

static const char *read_svid(struct slice in, struct svid_entry *e)
{
    struct slice *const fields[] = { &e->id, &e->certs, &e->key, &e->bundle, &e->hint };
    const char *wrong;
    struct spiffe_id id;

    *e = (struct svid_entry){ .id = { NULL, 0 } };
    wrong = read_fields(in, fields, ARRAY_LEN(fields));
    if (wrong != NULL)
        return wrong;
    if (e->id.n == 0 || e->certs.n == 0 || e->key.n == 0 || e->bundle.n == 0)
        return "an identity lacks its ID, certificate, key or bundle";
    if (spiffe_parse(e->id, &id) != NULL || id.path.n == 0)
        return "an identity has what is no SPIFFE ID of a workload";
    e->domain = id.domain;
    return NULL;
}

/* The key is the trust domain's own ID; some write only its name. */
static const char *read_bundle(struct slice in, struct svid_bundle *b)
{
    static const struct slice scheme = SLICE("spiffe://");
    struct slice key = { NULL, 0 };
    struct slice *const fields[] = { &key, &b->certs };
    const char *wrong;
    struct spiffe_id id;

    *b = (struct svid_bundle){ .certs = { NULL, 0 } };
    wrong = read_fields(in, fields, ARRAY_LEN(fields));
    if (wrong != NULL)
        return wrong;
    if (slice_starts(key, scheme)) {
        if (spiffe_parse(key, &id) != NULL || id.path.n > 0)
            return "a federated bundle is for what is no trust domain";
        b->domain = id.domain;
        return NULL;
    }
    if (!spiffe_is_domain(key))
        return "a federated bundle is for what is no trust domain";
    b->domain = key;
    return NULL;
}

static const char *read_one(const struct pb_field *f, struct svid_message *out)
{
    if (f->type != PB_BYTES)
        return malformed;
    switch (f->number) {
    case 1:
        if (out->n_svids == SVIDS_MOST)
            return "there are too many identities";
        return read_svid(f->bytes, &out->svids[out->n_svids++]);
    case 2:
        if (out->n_crls == SVID_CRLS_MOST)
            return "there are too many revocation lists";
        out->crls[out->n_crls++] = f->bytes;
        return NULL;
    default:
        if (out->n_bundles == SVID_BUNDLES_MOST)
            return "there are too many federated bundles";
        return read_bundle(f->bytes, &out->bundles[out->n_bundles++]);
    }
}

const char *svid_message_read(struct slice message, struct svid_message *out)
{
    const char *wrong = NULL;
    struct pb_field f;
    int rc = 1;

    out->n_svids = out->n_crls = out->n_bundles = 0;
    while (wrong == NULL && (rc = pb_next(&message, &f)) == 1)
        if (f.number <= 3)
            wrong = read_one(&f, out);
    if (wrong == NULL && rc < 0)
        wrong = malformed;
    return wrong == NULL && out->n_svids == 0 ? "there is no identity in it" : wrong;
}
