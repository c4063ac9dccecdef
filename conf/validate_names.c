/* validate_names.c - names: their form, duplicates among their kind, and words that no registry has. */
#include "conf/validate_parts.h"

#include <stdio.h>
#include <string.h>

#include "base/nearest.h"

#define NAME_MOST 128u

bool validate_names_index(const struct check *c, struct index *x, size_t n)
{
    if (!index_init(x, &c->w->m->arena, n))
        c->w->m->no_memory = true;
    return !c->w->m->no_memory;
}

void validate_names_form(const struct check *c, struct walk_at at, const char *name)
{
    if (name[0] == '\0')
        walk_error(c->w, at, "is empty; a name has at least one character");
    else if (strlen(name) > NAME_MOST)
        walk_error(c->w, at, "%s is too long; a name has at most %u bytes", quote(c, name), NAME_MOST);
    for (const char *p = name; *p != '\0'; p++) {
        if ((unsigned char)*p >= 0x20 && *p != 0x7f && *p != '"')
            continue;
        walk_error(c->w, at, "%s holds a control byte or a quote; a name has none", quote(c, name));
        return;
    }
}

void validate_names_twice(const struct check *c, struct walk_at at, const char *name, const char *what, struct place there)
{
    walk_error(c->w, at, "%s is the name of another %s already (%s)", quote(c, name), what,
               validate_spot_there(c, there, at.place));
}

void validate_names_unknown(const struct check *c, struct walk_at at, const char *name, const char *what,
                            const char *(*known_at)(size_t i))
{
    const char *word;
    struct nearest near;
    char known[512] = "";
    size_t n = 0;

    nearest_init(&near, name);
    for (size_t k = 0; (word = known_at(k)) != NULL; k++) {
        nearest_offer(&near, word);
        if (n < sizeof known)
            n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", k == 0 ? "" : ", ", word);
    }
    if (near.best != NULL)
        walk_error(c->w, at, "%s is no %s; did you mean %s?", quote(c, name), what, quote(c, near.best));
    else
        walk_error(c->w, at, "%s is no %s; there are: %s", quote(c, name), what, known);
}
