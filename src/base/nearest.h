/*
 * nearest.h - the known word that a misspelt one was probably meant to be.
 *
 * Offers are compared by edit distance (a swap of neighbours counts once); only a close one is ever proposed.
 * Threads: any.  Memory: the words are borrowed.
 */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H
#include <stddef.h>

struct nearest {
    const char *wanted;
    const char *best; /* NULL: nothing is close */
    size_t distance;
};

void nearest_init(struct nearest *n, const char *wanted);
void nearest_offer(struct nearest *n, const char *word);
#endif
