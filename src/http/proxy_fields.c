/* proxy_fields.c - names that are compared as the least careful backend would. */
#include "http/proxy_fields.h"

static char as_read(char c)
{
    char lower = slice_lower(c);

    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ? lower : '-';
}

static bool starts_with(struct slice name, struct slice prefix)
{
    if (name.n < prefix.n)
        return false;
    for (size_t i = 0; i < prefix.n; i++)
        if (as_read(name.p[i]) != prefix.p[i])
            return false;
    return true;
}

bool is_x_forwarded(struct slice name) { return starts_with(name, SLICE("x-forwarded-")); }

bool is_client_cert(struct slice name)
{
    if (starts_with(name, SLICE("x-client-cert")))
        return true;
    return (name.n == 11 && starts_with(name, SLICE("client-cert"))) ||
           (name.n == 17 && starts_with(name, SLICE("client-cert-chain")));
}
