/* nearest.c - edit distance with swaps (optimal string alignment). */
#include "base/nearest.h"

#include <string.h>

#define WORD_MOST 48u /* longer words are not compared: rows of the table stand on the stack */

static size_t least(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;

    return m < c ? m : c;
}

static size_t edit_distance(const char *a, size_t na, const char *b, size_t nb)
{
    size_t rows[3][WORD_MOST + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];

    for (size_t j = 0; j <= nb; j++)
        last[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *spare = before;

        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            now[j] = least(last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
        before = last;
        last = now;
        now = spare;
    }
    return last[nb];
}

void nearest_init(struct nearest *n, const char *wanted)
{
    size_t len = strlen(wanted);

    /* one slip in a short word, three in a long one: more would propose unrelated names */
    n->wanted = wanted;
    n->best = NULL;
    n->distance = len <= 3 ? 2 : len <= 7 ? 3 : 4;
}

void nearest_offer(struct nearest *n, const char *word)
{
    size_t nw = strlen(n->wanted), no = strlen(word), d;

    if (nw > WORD_MOST || no > WORD_MOST || (nw > no ? nw - no : no - nw) >= n->distance)
        return;
    d = edit_distance(n->wanted, nw, word, no);
    if (d < n->distance) {
        n->distance = d;
        n->best = word;
    }
}
