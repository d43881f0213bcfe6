/* proxy/http/stats.c - the numbers of the HTTP edge. */
#include <string.h>

#include "base/counter.h"
#include "proxy/http/private.h"

COUNTER(http_answers_2xx, "Answers with a status of 200 to 299.");
COUNTER(http_answers_3xx, "Answers with a status of 300 to 399.");
COUNTER(http_answers_4xx, "Answers with a status of 400 to 499.");
COUNTER(http_answers_5xx, "Answers with a status of 500 to 599.");
COUNTER(http_bytes_received, "Bytes of requests, heads included.");
COUNTER(http_bytes_sent, "Bytes of answers, heads included.");
COUNTER(http_refused_malformed, "Requests that no handler saw, because they broke HTTP or a limit of it.");
COUNTER(http_refused_overload, "Requests and connections answered 503 for overload.");
COUNTER(http_aborted, "Answers that ended before what they announced.");
COUNTER(http_timeouts, "Clients that were too slow, with a head, a body, or taking an answer.");
GAUGE(http_connections, "Open client connections.");
GAUGE(http_requests, "Requests being handled.");

enum { GET, HEAD, PUT, POST, DELETE, COPY, OTHER, METHODS };

struct http_stats {
    const char *server;
    struct histogram *methods[METHODS];
};

#define HELP "Time from a complete request head to the end of the answer."
#define ONE(server, method)                                                                        \
    HISTOGRAM(server##_##method, http_request, "server=\"" #server "\",method=\"" #method "\"", HELP)
#define SERVER(server)                                                                             \
    ONE(server, GET);                                                                              \
    ONE(server, HEAD);                                                                             \
    ONE(server, PUT);                                                                              \
    ONE(server, POST);                                                                             \
    ONE(server, DELETE);                                                                           \
    ONE(server, COPY);                                                                             \
    ONE(server, OTHER)
#define ENTRY(server)                                                                              \
    { #server, { &histogram_##server##_GET, &histogram_##server##_HEAD, &histogram_##server##_PUT, \
                 &histogram_##server##_POST, &histogram_##server##_DELETE, &histogram_##server##_COPY, \
                 &histogram_##server##_OTHER } }

SERVER(object);
SERVER(identity);
SERVER(other);

/* Metrics are process-wide, as base/counter.h has them. The last entry is for servers without one of their own. */
static struct http_stats table[] = { ENTRY(object), ENTRY(identity), ENTRY(other) };

struct http_stats *http_stats_of(const char *server_name)
{
    size_t i = 0;

    while (i < sizeof table / sizeof *table - 1 && strcmp(table[i].server, server_name) != 0)
        i++;
    return &table[i];
}

static int method_of(struct slice method)
{
    static const char *const names[] = { "GET", "HEAD", "PUT", "POST", "DELETE", "COPY" };

    for (int i = 0; i < OTHER; i++)
        if (slice_equal(method, slice_str(names[i])))
            return i;
    return OTHER;
}

void http_stats_request(struct http_stats *stats, const struct http_request *rq, int status, int64_t ns)
{
    const struct http_connection *c = http_connection_of(rq);

    histogram_record(stats->methods[method_of(rq->method)], (uint64_t)(ns > 0 ? ns : 0) / 1000);
    counter_add(http_bytes_received, c->received);
    counter_add(http_bytes_sent, c->reply.sent);
    if (status < 300)
        counter_inc(http_answers_2xx);
    else if (status < 400)
        counter_inc(http_answers_3xx);
    else if (status < 500)
        counter_inc(http_answers_4xx);
    else
        counter_inc(http_answers_5xx);
    if (c->reply.aborted)
        counter_inc(http_aborted);
    if (c->reply.rc == -ETIMEDOUT || c->body.rc == -ETIMEDOUT || status == 408)
        counter_inc(http_timeouts);
}

void http_stats_connections(int change)
{
    counter_add(http_connections, change);
}

void http_stats_requests(int change)
{
    counter_add(http_requests, change);
}

void http_stats_refused(int status)
{
    if (status == 503)
        counter_inc(http_refused_overload);
    else
        counter_inc(http_refused_malformed);
}
