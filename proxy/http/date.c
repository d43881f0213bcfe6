/* proxy/http/date.c - HTTP dates (RFC 9110, 5.6.7): written in one form, read in
 * three. Pure; no locale, no time zone of the machine. */
#include <string.h>

#include "proxy/http/http.h"

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char days[] = "SunMonTueWedThuFriSat";
static const char *const long_days[] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" };

enum { YEAR_MAX = 9999 };

/* Days since 1970-01-01 of a date of the Gregorian calendar; March counts as the year's first month. */
static int64_t days_from(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400, year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static void date_from(int64_t day, int *ret_year, int *ret_month, int *ret_day)
{
    day += 719468;
    int64_t era = (day >= 0 ? day : day - 146096) / 146097, day_of_era = day - era * 146097;
    int64_t year = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * day_of_year + 2) / 153;

    *ret_day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (int)(month < 10 ? month + 3 : month - 9);
    *ret_year = (int)(year + era * 400 + (*ret_month <= 2));
}

static char *put_digits(char *out, int value, int digits)
{
    for (int i = digits - 1; i >= 0; i--, value /= 10)
        out[i] = (char)('0' + value % 10);
    return out + digits;
}

void http_date(int64_t unix_s, char out[32])
{
    int64_t low = days_from(1, 1, 1) * 86400, high = days_from(YEAR_MAX, 12, 31) * 86400 + 86399;
    int     year, month, day;

    unix_s = unix_s < low ? low : unix_s > high ? high : unix_s;   /* The form has four digits for the year. */
    int64_t date = unix_s / 86400 - (unix_s % 86400 < 0);
    int     second = (int)(unix_s - date * 86400);
    date_from(date, &year, &month, &day);

    char *p = out;
    memcpy(p, days + 3 * (((date + 4) % 7 + 7) % 7), 3);
    memcpy(p + 3, ", ", 2);
    p = put_digits(p + 5, day, 2);
    *p++ = ' ';
    memcpy(p, months + 3 * (month - 1), 3);
    p[3] = ' ';
    p = put_digits(p + 4, year, 4);
    *p++ = ' ';
    p = put_digits(p, second / 3600, 2);
    *p++ = ':';
    p = put_digits(p, second / 60 % 60, 2);
    *p++ = ':';
    p = put_digits(p, second % 60, 2);
    memcpy(p, " GMT", 5);
}

/* A reader that fails softly: once 'bad', everything is. */
struct cursor {
    const char *at, *end;
    bool        bad;
};

static void expect(struct cursor *in, const char *text)
{
    size_t size = strlen(text);

    if (in->bad || (size_t)(in->end - in->at) < size || memcmp(in->at, text, size) != 0)
        in->bad = true;
    else
        in->at += size;
}

static int digits(struct cursor *in, int count)
{
    int value = 0;

    for (; count > 0; count--) {
        if (in->bad || in->at == in->end || *in->at < '0' || *in->at > '9') {
            in->bad = true;
            return 0;
        }
        value = value * 10 + (*in->at++ - '0');
    }
    return value;
}

/* Index of a three-letter name. */
static int name(struct cursor *in, const char *names, int count)
{
    if (!in->bad && in->end - in->at >= 3)
        for (int i = 0; i < count; i++)
            if (memcmp(in->at, names + 3 * i, 3) == 0) {
                in->at += 3;
                return i;
            }
    in->bad = true;
    return 0;
}

static int time_of_day(struct cursor *in)
{
    int hour = digits(in, 2);
    expect(in, ":");
    int minute = digits(in, 2);
    expect(in, ":");
    int second = digits(in, 2);
    if (hour > 23 || minute > 59 || second > 60)   /* A leap second is allowed. */
        in->bad = true;
    return hour * 3600 + minute * 60 + second;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", after the comma. */
static int64_t parse_imf(struct cursor *in, int *ret_year, int *ret_month, int *ret_day)
{
    *ret_day = digits(in, 2);
    expect(in, " ");
    *ret_month = name(in, months, 12) + 1;
    expect(in, " ");
    *ret_year = digits(in, 4);
    expect(in, " ");
    int second = time_of_day(in);
    expect(in, " GMT");
    return second;
}

/* "Sunday, 06-Nov-94 08:49:37 GMT", after the comma. Two digits mean the past century from 70 on, as every date
 * that a cache still holds. */
static int64_t parse_rfc850(struct cursor *in, int *ret_year, int *ret_month, int *ret_day)
{
    *ret_day = digits(in, 2);
    expect(in, "-");
    *ret_month = name(in, months, 12) + 1;
    expect(in, "-");
    int year = digits(in, 2);
    *ret_year = year + (year < 70 ? 2000 : 1900);
    expect(in, " ");
    int second = time_of_day(in);
    expect(in, " GMT");
    return second;
}

/* "Sun Nov  6 08:49:37 1994", after the day's name. */
static int64_t parse_asctime(struct cursor *in, int *ret_year, int *ret_month, int *ret_day)
{
    expect(in, " ");
    *ret_month = name(in, months, 12) + 1;
    expect(in, " ");
    if (!in->bad && in->at < in->end && *in->at == ' ') {
        in->at++;
        *ret_day = digits(in, 1);
    } else {
        *ret_day = digits(in, 2);
    }
    expect(in, " ");
    int second = time_of_day(in);
    expect(in, " ");
    *ret_year = digits(in, 4);
    return second;
}

bool http_date_parse(struct slice text, int64_t *ret_unix_s)
{
    static const int month_days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    struct cursor in, start;
    int     year = 0, month = 1, day = 0;
    int64_t second;

    if (text.size == 0)
        return false;
    in = start = (struct cursor) { (const char *)text.data, (const char *)text.data + text.size, false };
    int week_day = name(&in, days, 7);
    if (in.bad)
        return false;
    if (in.at < in.end && *in.at == ',') {
        expect(&in, ", ");
        second = parse_imf(&in, &year, &month, &day);
    } else if (in.at < in.end && *in.at == ' ') {
        second = parse_asctime(&in, &year, &month, &day);
    } else {
        in = start;
        expect(&in, long_days[week_day]);
        expect(&in, ", ");
        second = parse_rfc850(&in, &year, &month, &day);
    }
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (in.bad || in.at != in.end || day < 1 || day > month_days[month - 1] || (month == 2 && day == 29 && !leap))
        return false;
    *ret_unix_s = days_from(year, month, day) * 86400 + second;
    return true;
}
