/*
 * svid_message.h - what the SPIFFE Workload API says about who we are: an X509SVIDResponse, taken apart.
 *
 *     X509SVIDResponse { repeated X509SVID svids = 1; repeated bytes crl = 2; map<string, bytes> federated_bundles = 3; }
 *     X509SVID         { string spiffe_id = 1; bytes x509_svid = 2; bytes x509_svid_key = 3; bytes bundle = 4; string hint = 5; }
 *     an entry of a map { string key = 1; bytes value = 2; }
 *
 * Promise: a message is taken whole or not at all.  There is an identity at least; each has what is mandatory, and an ID that is
 * one (spiffe.h) and names a workload.  Numbers are bounded, a known field of another type is an error, others are skipped.
 * What stands in the bytes (DER) is not looked at here.
 *
 * Source: the SPIFFE Workload API standard, section 5.1, and workloadapi.proto.
 * Threads: any, no state.  Memory: slices into the message; the struct is too large for a fiber's stack.
 */
#ifndef NET_SVID_MESSAGE_H
#define NET_SVID_MESSAGE_H
#include "base/slice.h"

enum {
    SVIDS_MOST = 64,
    SVID_CRLS_MOST = 64,
    SVID_BUNDLES_MOST = 256,
    SVID_MESSAGE_MOST = 4 * 1024 * 1024,
};

struct svid_entry {
    struct slice id;     /* "spiffe://prod.example/web" */
    struct slice domain; /* of it: "prod.example" */
    struct slice certs;  /* DER certificates, one behind the other: ours first */
    struct slice key;    /* DER, PKCS#8 */
    struct slice bundle; /* DER certificates: the authorities of its trust domain */
    struct slice hint;   /* may be empty */
};

struct svid_bundle {
    struct slice domain; /* another one */
    struct slice certs;
};

struct svid_message {
    size_t n_svids, n_crls, n_bundles;
    struct svid_entry svids[SVIDS_MOST];
    struct slice crls[SVID_CRLS_MOST];
    struct svid_bundle bundles[SVID_BUNDLES_MOST];
};

/* NULL: done; else a sentence. */
const char *svid_message_read(struct slice message, struct svid_message *out);
#endif
