/* tls_conf.c - the rows of TLS. */
#include "net/tls_conf.h"

static const char *const min_words[] = { "1.2", "1.3", NULL };                    /* enum tls_min */
static const char *const auth_words[] = { "none", "optional", "required", NULL }; /* enum tls_client_auth */

static const struct conf_key certificate_keys[] = {
    CONF_KEY(
        tls_certificate_conf, cert, STR, NULL, NULL, NULL,
        "PEM file: the certificate, then those that lead to its authority. All files of TLS are watched: a new one is in effect within seconds, without a reload. They must be readable for `daemon.user`."),
    CONF_STR_OPTIONAL(tls_certificate_conf, key, "PEM file of its private key. Unless written: in the same file."),
    CONF_STR_OPTIONAL(tls_certificate_conf, ocsp,
                      "DER file with an OCSP response, sent along to clients that ask. It may come and go."),
    CONF_END,
};

const struct conf_key tls_server_keys[] = {
    CONF_LIST(
        tls_server_conf, certificates, tls_certificate_conf, certificate_keys,
        "The certificates, chosen by the name that the client asks for (exact before wildcard) and by what it can verify: RSA and ECDSA may stand side by side. The first is for all other names."),
    CONF_STR_OPTIONAL(
        tls_server_conf, svid,
        "Instead of files: the identity that `daemon.workload_api` gives. \"default\": the first; else the one with that SPIFFE ID or hint. Clients with certificates are verified by the bundle of their trust domain."),
    CONF_WORD(tls_server_conf, min, min_words, "1.2",
              "The oldest version that is spoken. In 1.2 only ECDHE with AEAD ciphers is."),
    CONF_WORD(tls_server_conf, client_auth, auth_words, "none",
              "Whether clients are asked for a certificate. One that can't be verified ends the connection in both cases."),
    CONF_STR_OPTIONAL(tls_server_conf, client_ca, "PEM file of the authorities that clients' certificates are verified by."),
    CONF_STR_OPTIONAL(tls_server_conf, client_crl, "PEM file of revocation lists, one of each authority in client_ca."),
    CONF_KEY(
        tls_server_conf, tickets, BOOL, "true", NULL, NULL,
        "Let clients resume by tickets, whose keys all workers share and `daemon.ticket_rotation` changes. false: sessions are kept in memory here."),
    CONF_END,
};

const struct conf_key tls_client_keys[] = {
    CONF_KEY(tls_client_conf, verify, BOOL, "true", NULL, NULL, "Verify the backend's certificate."),
    CONF_STR_OPTIONAL(tls_client_conf, ca, "PEM file of the authorities to verify by. Unless written: the system's."),
    CONF_STR_OPTIONAL(tls_client_conf, crl, "PEM file of revocation lists, one of each authority."),
    CONF_STR_OPTIONAL(
        tls_client_conf, server_name,
        "The name that is asked for (SNI) and that the certificate must be for. Unless written, the certificate must be for the backend's IP address, or have an `identity`."),
    CONF_STR_OPTIONAL(tls_client_conf, cert, "PEM file of a certificate of our own, for backends that ask for one."),
    CONF_STR_OPTIONAL(tls_client_conf, key, "PEM file of its private key. Unless written: in the same file."),
    CONF_STR_OPTIONAL(
        tls_client_conf, svid,
        "Instead of files: the identity that `daemon.workload_api` gives, \"default\" or one's SPIFFE ID or hint. Backends are verified by the bundle of their trust domain, and `identity` is a must."),
    { CONF_FIELD(tls_client_conf, identity), .type = CONF_TYPE_STRS, .optional = true, .one_will_do = true,
      .doc =
          "SPIFFE IDs, one of which the backend's certificate must have: \"spiffe://prod.example/api\". A * stands for one part of the path, at the end for one or more." },
    CONF_WORD(tls_client_conf, min, min_words, "1.2", "The oldest version that is spoken."),
    CONF_END,
};

const struct conf_key identity_keys[] = {
    { CONF_FIELD(identity_conf, allow), .type = CONF_TYPE_STRS, .optional = true, .one_will_do = true,
      .doc =
          "SPIFFE IDs, one of which the client's verified certificate must have; others get a 403. A * stands for one part of the path, at the end for one or more: \"spiffe://prod.example/web/*\"." },
    CONF_END,
};
