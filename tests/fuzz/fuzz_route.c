/*
 * fuzz_route.c - a request target and a host against routes of every kind.
 *
 * Input: "host\npath".  Claims: a plain path stays as it is and holds no empty or dot segment; what the tables find is what
 * the conditions one by one say (router_explain() asserts it).
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/must.h"
#include "proxy/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *hosts[] = { "a.example", "*.example", "*.b.example", "[::1]", "node1" };
static const char *exact[] = { "a.example" };

static struct route_conf routes[] = {
    { .name = "1", .file = "f", .host = { exact, 1 }, .path = "/a/b/*" },
    { .name = "2", .file = "f", .path = "/a/b" },
    { .name = "3", .file = "f", .host = { hosts, 5 }, .path = "/a/*" },
    { .name = "4", .file = "f", .path = "/a%2fb/~/*" },
    { .name = "5", .file = "f", .host = { hosts + 1, 4 }, .path = "/0123456789/0123456789/0123456789/0123456789/*" },
    { .name = "6", .file = "f", .host = { hosts + 3, 2 } },
    { .name = "7", .file = "f", .path = "/*" },
};

static struct router *the_router(void)
{
    static const struct snapshot conf = { .routes = routes, .n_routes = ARRAY_LEN(routes) };
    static struct router *r;

    if (r == NULL)
        r = router_new(&conf);
    MUST(r != NULL);
    return r;
}

static void check_plain(struct slice path, struct arena *a)
{
    struct slice again;

    MUST(route_path(path, a, &again) == 0);
    MUST(again.p == path.p && again.n == path.n);
    MUST(memmem(path.p, path.n, "//", 2) == NULL && memmem(path.p, path.n, "/./", 3) == NULL &&
         memmem(path.p, path.n, "/../", 4) == NULL);
}

/* In an allocation of its own, so that a read beyond it is seen. */
static struct slice copy(struct slice s)
{
    char *p = malloc(s.n + 1);

    MUST(p != NULL);
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return slice_of(realloc(p, s.n > 0 ? s.n : 1), s.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *line = size == 0 ? NULL : memchr(text, '\n', size);
    size_t n = line == NULL ? 0 : (size_t)(line - text);
    struct slice host = copy(slice_of(text, n)),
                 target = copy(line == NULL ? slice_of(text, size) : slice_of(line + 1, size - n - 1));
    struct message m = { .authority = host, .path = target, .method_name = SLICE("GET"), .method = METHOD_GET };
    struct buf out = { 0 };
    struct slice path;
    struct arena a;

    arena_init(&a, NULL, 0);
    if (route_path(target, &a, &path) == 0) {
        if (path.n > 0 && path.p[0] == '/')
            check_plain(path, &a);
        router_explain(the_router(), &m, path, &out);
    }
    buf_free(&out);
    arena_free(&a);
    free((void *)(uintptr_t)host.p);
    free((void *)(uintptr_t)target.p);
    return 0;
}
