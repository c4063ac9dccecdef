/*
 * fuzz_conf.c - any text as a proxy.conf: no crash, no leak; what loads dumps to what loads to the same dump.
 *
 * What would open files is left out: an @include, an include_dir, an error page, a plugin.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/load.h"
#include "conf/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *dump_of(const struct snapshot *s)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);

    if (f == NULL || conf_dump(s, f) < 0)
        abort();
    fclose(f);
    return text;
}

static struct snapshot *loaded(const char *text)
{
    struct snapshot *s = NULL;
    struct conf_report r;
    int rc = conf_load_text(text, "proxy.conf", &s, &r);

    if ((rc == 0) != (s != NULL) || (rc == 0 && r.n_errors != 0))
        abort();
    conf_report_free(&r);
    return s;
}

static void check_round_trip(const struct snapshot *s)
{
    char *first = dump_of(s), *second;
    struct snapshot *again = loaded(first);

    if (again == NULL)
        abort();
    second = dump_of(again);
    if (strcmp(first, second) != 0)
        abort();
    snapshot_unref(&again);
    free(first);
    free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct snapshot *s;

    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (strstr(text, "include") == NULL && strstr(text, "error_pages") == NULL && strstr(text, "plugin") == NULL) {
        s = loaded(text);
        if (s != NULL)
            check_round_trip(s);
        snapshot_unref(&s);
    }
    free(text);
    return 0;
}
