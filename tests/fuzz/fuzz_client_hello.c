/* fuzz_client_hello.c - more bytes never change what fewer have said, and a name is a host's. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "net/client_hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(int claim)
{
    if (!claim)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[CLIENT_HELLO_NAME], again[CLIENT_HELLO_NAME];
    struct slice name, other;
    int rc = client_hello_name(data, size, text, &name);

    need(rc == 0 || rc == 1 || rc == -ERR_BAD_CLIENT_HELLO);
    if (rc == 1)
        for (size_t i = 0; i < name.n; i++)
            need(name.p[i] > ' ' && name.p[i] < 0x7f && strchr("/:*@\"\\", name.p[i]) == NULL &&
                 (name.p[i] < 'A' || name.p[i] > 'Z'));
    for (size_t n = size / 2; n < size; n += 1 + size / 16) {
        /* exactly as large as it is, so that a read behind it shows */
        uint8_t *part = malloc(n + (n == 0));
        int fewer;
        if (part == NULL)
            return 0;
        if (n > 0)
            memcpy(part, data, n);
        fewer = client_hello_name(part, n, again, &other);
        need(fewer == 0 || (fewer == rc && (rc < 0 || slice_eq(name, other))));
        free(part);
    }
    return 0;
}
