/* proxy/http/metrics.c - see metrics.h. */
#include "proxy/http/metrics.h"

#include <stdlib.h>

#include "base/counter.h"

WAITS static void answer(struct http_request *rq, int status, const char *text)
{
    http_reply_begin(rq, status);
    http_reply_body(rq, "text/plain; charset=utf-8", slice_str(text));
}

WAITS static void answer_metrics(struct http_request *rq)
{
    size_t size;
    char  *text = counters_text(&size);

    if (!text) {
        answer(rq, 503, "no memory\n");
        return;
    }
    http_reply_begin(rq, 200);
    http_reply_body(rq, "text/plain; version=0.0.4; charset=utf-8", slice_of(text, size));
    free(text);
}

WAITS void metrics_handle(void *ctx, struct http_request *rq)
{
    struct metrics *metrics = ctx;

    rq->service = "metrics";
    if (!slice_equal(rq->method, SLICE("GET")) && !slice_equal(rq->method, SLICE("HEAD"))) {
        http_reply_begin(rq, 405);
        http_reply_header(rq, "Allow", SLICE("GET, HEAD"));
        http_reply_body(rq, "text/plain; charset=utf-8", SLICE("only GET and HEAD\n"));
    } else if (slice_equal(rq->path, SLICE("/metrics"))) {
        answer_metrics(rq);
    } else if (slice_equal(rq->path, SLICE("/healthz"))) {
        answer(rq, 200, "ok\n");
    } else if (slice_equal(rq->path, SLICE("/readyz"))) {
        bool ready = metrics->ready(metrics->ctx);
        answer(rq, ready ? 200 : 503, ready ? "ready\n" : "not ready\n");
    } else {
        answer(rq, 404, "there are /metrics, /healthz and /readyz\n");
    }
}
