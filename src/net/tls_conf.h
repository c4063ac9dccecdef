/*
 * tls_conf.h - what proxy.conf says about TLS: the rows and the structs that they fill, of a listener and of a pool.
 *
 * Threads: constant once loaded.  Memory: the snapshot's arena.
 */
#ifndef NET_TLS_CONF_H
#define NET_TLS_CONF_H
#include <stdbool.h>
#include <stdint.h>

#include "base/conf_key.h"

struct tls_certificate_conf {
    const char *cert; /* PEM: the certificate, then those that lead to its authority */
    const char *key;  /* PEM; NULL: in the same file */
    const char *ocsp; /* DER; NULL: none */
};

enum tls_client_auth { TLS_AUTH_NONE, TLS_AUTH_OPTIONAL, TLS_AUTH_REQUIRED };
enum tls_min { TLS_MIN_1_2, TLS_MIN_1_3 };

/* Toward clients. */
struct tls_server_conf {
    struct conf_list certificates; /* struct tls_certificate_conf; the first is the default */
    const char *svid;              /* NULL: files; else which identity of the Workload API takes their place (net/tls_svid.h) */
    int min;                       /* enum tls_min */
    int client_auth;               /* enum tls_client_auth */
    const char *client_ca;         /* PEM; NULL: none */
    const char *client_crl;
    bool tickets;
};

/* Toward backends. */
struct tls_client_conf {
    bool verify;
    const char *ca;            /* PEM; NULL: the system's */
    const char *crl;           /* PEM; NULL: none */
    const char *server_name;   /* sent, and looked for in the certificate; NULL: the address is looked for */
    const char *cert, *key;    /* of our own, for the backend to see; NULL: none */
    const char *svid;          /* as toward clients */
    struct conf_strs identity; /* SPIFFE IDs, or patterns of them, that the backend may have */
    int min;
};

/* SPIFFE IDs that a route lets in. */
struct identity_conf {
    struct conf_strs allow;
};

extern const struct conf_key tls_server_keys[];
extern const struct conf_key tls_client_keys[];
extern const struct conf_key identity_keys[];
#endif
