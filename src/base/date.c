/* date.c - days to year, month and day. */
#include "base/date.h"

const char date_months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
const char date_weekdays[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };

enum { DAY = 86400, ERA_DAYS = 146097, TO_YEAR_0 = 719468 }; /* days from 0000-03-01 to 1970-01-01 */

void date_of(int64_t unix_seconds, struct date *out)
{
    int64_t days = unix_seconds / DAY, rest = unix_seconds % DAY;
    int64_t era, day, year, march;

    if (rest < 0) {
        rest += DAY;
        days--;
    }
    out->weekday = (int)(((days + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
    out->hour = (int)(rest / 3600);
    out->minute = (int)(rest / 60 % 60);
    out->second = (int)(rest % 60);

    days += TO_YEAR_0; /* years begin in March, so that the leap day is a year's last */
    era = (days >= 0 ? days : days - (ERA_DAYS - 1)) / ERA_DAYS;
    day = days - era * ERA_DAYS;
    year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100;
    march = (5 * day + 2) / 153; /* months since March */
    out->day = (int)(day - (153 * march + 2) / 5 + 1);
    out->month = (int)(march < 10 ? march + 3 : march - 9);
    out->year = (int)(year + era * 400 + (out->month <= 2));
}
