/* manual.c - docs/config.md, from the rows. */
#include <string.h>

#include "base/err.h"
#include "conf/load.h"
#include "conf/schema.h"

static const char intro[] =
    "# proxy.conf\n"
    "\n"
    "This page is written by `weir` itself from the rows that also read the file; change the rows, not the page.\n"
    "\n"
    "The file is in [libconfig](https://hyperrealm.github.io/libconfig/) syntax: `name = value;`, groups in `{ }`, lists in `( )`, arrays of\n"
    "one type in `[ ]`, comments with `#`, `//` or `/* */`. A string ends on the line where it began (a line break is `\\n`); strings that\n"
    "follow each other are one. The smallest file is a working proxy:\n"
    "\n"
    "```\n"
    "listeners = ( { bind = \"0.0.0.0:8080\"; pool = \"app\"; } );\n"
    "pools     = ( { name = \"app\"; backends = [ \"10.0.1.11:8080\", \"10.0.1.12:8080\" ]; } );\n"
    "```\n"
    "\n"
    "- A request meets listeners, then routes, then a pool. Routes are tried in the order of the file; the first that matches wins. What no\n"
    "  route takes goes to the listener's pool, or gets a 404.\n"
    "- Durations, sizes and rates are strings with a unit: `\"1500ms\"`, `\"10s\"`, `\"5m\"`, `\"1h\"`, `\"2d\"`; `\"512\"`, `\"64K\"`, `\"10M\"`, `\"1G\"`\n"
    "  (powers of 1024); `\"100/s\"`, `\"600/m\"`.\n"
    "- Addresses are `\"10.0.0.1:80\"`, `\"[2001:db8::1]:80\"` or `\"unix:/run/app.sock\"`; names are not looked up.\n"
    "- A key that is not on this page is an error, and so is a value of the wrong type or out of its range. `weir -t -c proxy.conf` reports\n"
    "  all errors of a file at once, each with its line, and warns of what has no effect.\n"
    "- `@include \"FILE\"`, alone on its line, puts another file in its place; the name is relative to the file that includes it.\n"
    "  `include_dir` takes a whole folder.\n"
    "- `weir --dump-config -c proxy.conf` prints the configuration with every default spelled out.\n";

/* A cell of a table: `|` would end it, `*` would set it in italics. */
static void put_cell(FILE *f, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|' || *text == '*')
            fputc('\\', f);
        fputc(*text, f);
    }
}

static void put_type(FILE *f, const struct conf_key *k)
{
    static const char *const text[] = {
        [CONF_TYPE_BOOL] = "`true` or `false`",
        [CONF_TYPE_UINT] = "whole number",
        [CONF_TYPE_FLOAT] = "number",
        [CONF_TYPE_TIME] = "duration",
        [CONF_TYPE_SIZE] = "size",
        [CONF_TYPE_RATE] = "rate",
        [CONF_TYPE_STR] = "string",
        [CONF_TYPE_STRS] = "array of strings",
        [CONF_TYPE_CUSTOM] = "string",
        [CONF_TYPE_GROUP] = "group",
        [CONF_TYPE_OPTIONAL] = "group",
        [CONF_TYPE_LIST] = "list of groups",
    };

    if (k->type != CONF_TYPE_WORD) {
        fputs(k->one_will_do ? "string, or array of strings" : text[k->type], f);
        return;
    }
    for (size_t i = 0; k->words[i] != NULL; i++)
        fprintf(f, "%s`\"%s\"`", i == 0 ? "" : ", ", k->words[i]);
}

static bool is_quoted(enum conf_type t) { return t != CONF_TYPE_BOOL && t != CONF_TYPE_UINT && t != CONF_TYPE_FLOAT; }

static void put_bound(FILE *f, const struct conf_key *k, const char *text)
{
    fprintf(f, is_quoted(k->type) ? "`\"%s\"`" : "`%s`", text);
}

static void put_default(FILE *f, const struct conf_key *k)
{
    if (k->type == CONF_TYPE_GROUP)
        fputs("its defaults", f);
    else if (k->def != NULL)
        put_bound(f, k, k->def);
    else
        fputs(k->optional ? "none" : "must be written", f);
}

static void put_range(FILE *f, const struct conf_key *k)
{
    if (k->min != NULL)
        put_bound(f, k, k->min);
    if (k->min != NULL && k->max != NULL)
        fputs(" to ", f);
    if (k->max != NULL)
        put_bound(f, k, k->max);
}

static void put_row(FILE *f, const struct conf_key *k)
{
    fprintf(f, "| `%s` | ", k->name);
    put_type(f, k);
    fputs(" | ", f);
    put_default(f, k);
    fputs(" | ", f);
    put_range(f, k);
    fputs(" | ", f);
    put_cell(f, k->doc);
    fputs(" |\n", f);
}

static void put_special(FILE *f, const struct walk_special *s)
{
    fprintf(f, "| `%s` | %s | %s |  | ", s->name, s->shape, s->def == NULL ? "must be written" : s->def);
    put_cell(f, s->doc);
    fputs(" |\n", f);
}

/* A section and, behind it, one for each group inside.  Rows nest as deep as we wrote them. */
static void put_section(FILE *f, const char *path, const char *doc, const struct conf_key *keys,
                        const struct walk_special *specials)
{
    char inner[128];

    fprintf(f, "\n## %s\n\n", path);
    put_cell(f, doc);
    fputs("\n\n| key | type | default | range | what it does |\n|---|---|---|---|---|\n", f);
    for (const struct conf_key *k = keys; k->name != NULL; k++)
        put_row(f, k);
    for (const struct walk_special *s = specials; s != NULL && s->name != NULL; s++)
        put_special(f, s);
    for (const struct conf_key *k = keys; k->name != NULL; k++) {
        (void)snprintf(inner, sizeof inner, "%s.%s", path, k->name);
        if (k->sub != NULL)
            put_section(f, inner, k->doc, k->sub, NULL);
    }
    for (const struct walk_special *s = specials; s != NULL && s->name != NULL; s++) {
        (void)snprintf(inner, sizeof inner, "%s.%s", path, s->name);
        if (s->sub != NULL)
            put_section(f, inner, s->doc, s->sub, s->sub_specials);
    }
}

int conf_manual(FILE *out)
{
    fputs(intro, out);
    for (const struct walk_special *s = top_specials; s->name != NULL; s++)
        if (s->sub != NULL)
            put_section(out, s->name, s->doc, s->sub, s->sub_specials);
    for (const struct conf_key *k = top_keys; k->name != NULL; k++)
        put_section(out, k->name, k->doc, k->sub, NULL);
    for (const struct walk_special *s = top_specials; s->name != NULL; s++) {
        if (s->sub != NULL)
            continue;
        fprintf(out, "\n## %s\n\n", s->name);
        put_cell(out, s->doc);
        fputc('\n', out);
    }
    return fflush(out) != 0 || ferror(out) ? -ERR_IO : 0;
}
