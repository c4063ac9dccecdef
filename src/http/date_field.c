/* date_field.c - the wall clock is read when the second is over. */
#include "http/date_field.h"

#include <string.h>

#include "base/clock.h"
#include "base/date.h"

#define FORM "Date: Www, 00 Mmm 0000 00:00:00 GMT\r\n"

struct dated {
    int64_t from, until; /* monotonic; until 0: nothing is written */
    char line[sizeof FORM];
};

static _Thread_local struct dated dated;

static void write_line(char *line, int64_t second)
{
    struct date d;

    date_of(second, &d);
    memcpy(line, FORM, sizeof FORM);
    memcpy(line + 6, date_weekdays[d.weekday], 3);
    (void)date_digits(line + 11, d.day, 2);
    memcpy(line + 14, date_months[d.month - 1], 3);
    (void)date_digits(line + 18, d.year, 4);
    (void)date_digits(line + 23, d.hour, 2);
    (void)date_digits(line + 26, d.minute, 2);
    (void)date_digits(line + 29, d.second, 2);
}

struct slice date_field(int64_t now)
{
    if (now >= dated.until || now < dated.from) {
        int64_t wall = clock_wall();
        write_line(dated.line, wall / CLOCK_S);
        dated.from = now;
        dated.until = now + CLOCK_S - wall % CLOCK_S;
    }
    return slice_of(dated.line, sizeof FORM - 1);
}
