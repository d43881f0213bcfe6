/* proxy/http/metrics.h - /metrics, /healthz and /readyz of a process. */
#ifndef PROXY_HTTP_METRICS_H
#define PROXY_HTTP_METRICS_H

#include "proxy/http/http.h"

struct metrics {
    bool (*ready)(void *ctx);   /* Does it serve? */
    void *ctx;
};

/* An http_handler; 'ctx' is a struct metrics.
 *   GET /metrics   Prometheus text exposition 0.0.4
 *   GET /healthz   200 while the process runs
 *   GET /readyz    200 while it serves, else 503 */
WAITS void metrics_handle(void *ctx, struct http_request *rq);

#endif
