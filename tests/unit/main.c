/*
 * main.c - runs the unit tests: all suites, or those named as arguments.
 *
 * Every tests/unit/test_<module>.c exports `Suite *<module>_suite(void);`; the Makefile writes their list.
 */
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUITE(name) Suite *name##_suite(void);
#include "unit_suites.h"
#undef SUITE

struct unit {
    const char *name;
    Suite *(*make)(void);
};

static const struct unit units[] = {
#define SUITE(name) { #name, name##_suite },
#include "unit_suites.h"
#undef SUITE
};
#define N_UNITS (sizeof(units) / sizeof(units[0]))

static bool add_named(SRunner *runner, const char *name)
{
    for (size_t i = 0; i < N_UNITS; i++) {
        if (strcmp(units[i].name, name) == 0) {
            srunner_add_suite(runner, units[i].make());
            return true;
        }
    }
    (void)fprintf(stderr, "unit-tests: there is no tests/unit/test_%s.c\n", name);
    return false;
}

int main(int argc, char **argv)
{
    SRunner *runner = srunner_create(NULL);
    bool known = true;
    int failed;

    for (int i = 1; i < argc; i++)
        known = add_named(runner, argv[i]) && known;
    if (argc == 1) {
        for (size_t i = 0; i < N_UNITS; i++)
            srunner_add_suite(runner, units[i].make());
    }
    srunner_run_all(runner, CK_ENV); /* CK_VERBOSITY decides; by default failures and the summary */
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return known && failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
