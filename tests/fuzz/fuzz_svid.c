/*
 * fuzz_svid.c - what a message of the Workload API is taken apart into stands inside of it, and nothing but whole identities are
 * put into effect.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "net/spiffe.h"
#include "net/svid_message.h"
#include "net/tls_svid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool claim)
{
    if (!claim)
        abort();
}

static bool is_inside(struct slice s, struct slice all) { return s.n == 0 || (s.p >= all.p && s.p + s.n <= all.p + all.n); }

static void check_message(const struct svid_message *m, struct slice all)
{
    need(m->n_svids > 0);
    for (size_t i = 0; i < m->n_svids; i++) {
        const struct svid_entry *e = &m->svids[i];
        struct spiffe_id id;
        need(is_inside(e->id, all) && is_inside(e->certs, all) && is_inside(e->key, all) && is_inside(e->bundle, all) &&
             is_inside(e->hint, all));
        need(spiffe_parse(e->id, &id) == NULL && id.path.n > 0 && slice_eq(id.domain, e->domain));
        need(e->certs.n > 0 && e->key.n > 0 && e->bundle.n > 0);
    }
    for (size_t i = 0; i < m->n_crls; i++)
        need(is_inside(m->crls[i], all));
    for (size_t i = 0; i < m->n_bundles; i++)
        need(is_inside(m->bundles[i].certs, all) && spiffe_is_domain(m->bundles[i].domain));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_of((const char *)data, size);
    struct svid_message *m = malloc(sizeof *m);
    uint64_t before = tls_svids_version();
    char why[400] = "";
    const char *wrong;
    int rc;

    if (m == NULL)
        return 0;
    wrong = svid_message_read(all, m);
    if (wrong == NULL)
        check_message(m, all);
    rc = tls_svids_take(all, why, sizeof why);
    need(rc == 0 || rc == -ERR_INVALID);
    need(rc < 0 || wrong == NULL);
    need((rc == 0) == (tls_svids_version() != before) && (rc == 0) == (why[0] == '\0'));
    if (rc == 0) {
        const struct tls_svids *s = tls_svids_now();
        need(s->n_svids == m->n_svids && s->n_bundles > 0 && tls_svids_find(s, TLS_SVID_DEFAULT) != NULL);
        need(tls_svids_find(s, s->svids[0].id) == &s->svids[0]);
    }
    tls_svids_forget();
    free(m);
    return 0;
}
