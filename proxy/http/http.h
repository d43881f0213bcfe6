/* proxy/http/http.h - the HTTP/1.1 edge: one server, one request pipeline.
 *
 * parse -> request id -> route -> handler (authenticates and authorises through
 * identity/, see the service) -> respond -> access log, counters. A request is
 * one task; its memory is one arena; bodies stream both ways. Keep-alive and
 * pipelining (one request at a time a connection), chunked both ways,
 * Expect: 100-continue (sent when the handler first reads the body), TLS.
 *
 * All sizes from outside have limits here; past them the documented 4xx is
 * answered: 400 malformed, 408 slow, 411, 413 body, 414 line, 431 headers,
 * 501 coding, 503 overload (with Retry-After). Smuggling is refused: both
 * Content-Length and Transfer-Encoding, repeated or odd lengths, bare CR or LF,
 * obsolete folding, control bytes. RFC 9110, RFC 9112. */
#ifndef PROXY_HTTP_HTTP_H
#define PROXY_HTTP_HTTP_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/conn.h"

enum {
    HTTP_LINE_MAX = 16 * 1024,          /* Request line: a listing marker may be long. */
    HTTP_HEADER_BYTES_MAX = 64 * 1024,  /* All header lines. */
    HTTP_HEADERS_MAX = 256,
    HTTP_CHUNK_LINE_MAX = 256,
    HTTP_HEADER_TIMEOUT_MS = 30000,     /* First byte to end of headers. */
    HTTP_IDLE_TIMEOUT_MS = 75000,       /* Between requests. */
    HTTP_BODY_TIMEOUT_MS = 60000,       /* Without any byte of the body. */
    HTTP_SEND_TIMEOUT_MS = 60000,       /* Without the client taking any byte. */
    HTTP_CONNECTIONS_MAX = 8192,        /* Per server; more are answered 503 and closed. */
    HTTP_REQUESTS_MAX = 2048,           /* Being handled; more are answered 503. */
    HTTP_QUERY_MAX = 256,               /* Parameters. */
    HTTP_TRAILER_BYTES_MAX = 16 * 1024,
    HTTP_DRAIN_BYTES_MAX = 64 * 1024,   /* Unread body that is read away to keep a connection. */
    HTTP_LINGER_MS = 1000,              /* Gap after which a closing connection stops listening. */
    HTTP_REPLY_HEAD_MAX = 64 * 1024,
    HTTP_GATHER_BYTES = 16 * 1024,      /* Small writes of a stream are sent together. */
    HTTP_SEND_PIECE_BYTES = 256 * 1024, /* What the client must take within one send timeout. */
    HTTP_RETRY_AFTER_S = 1,             /* Of our own 503. */
    HTTP_TRANS_ID_EXTRA_MAX = 28        /* X-Trans-Id-Extra; as much as fits into TASK_TRACE_MAX. */
};

struct http_server;
struct http_request;

struct http_header {
    struct slice name, value;   /* name as sent; compare with http_header(). */
};

struct http_query {
    struct slice name, value;   /* Percent-decoded, '+' is a blank. */
};

struct http_request {
    struct env        *env;
    struct arena       arena;
    struct conn       *conn;
    struct slice       method;         /* "GET"; upper case as sent. */
    struct slice       target;         /* As sent, for signatures and logs; raw bytes over 0x7f are let through. */
    struct slice       raw_path;       /* Before '?', as sent. */
    struct slice       path;           /* Percent-decoded; may contain any byte but NUL ("/v1/a/c/o"). */
    struct slice       raw_query;      /* After '?', as sent; empty if none. */
    struct http_query *query;
    uint32_t           query_count;
    struct http_header *headers;
    uint32_t           header_count;
    struct slice       host;
    uint64_t           content_length; /* Valid if has_length. */
    bool               has_length, chunked, expect_continue;
    bool               head;           /* HEAD: reply bodies are counted, not sent. */
    char               trace[TASK_TRACE_MAX];   /* "tx" + 21 hex + "-" + 10 hex, as Swift's. */
    int64_t            started;        /* env_now() when the headers were complete. */
    struct http_server *server;
    void              *state;          /* http.c's. */
    /* For the access log and counters; set by handlers. */
    const char        *service;        /* "swift", "keystone". */
    const char        *action;         /* "object.put". */
    struct slice       user, project;  /* Ids; never secrets. */
};

/* --- Reading. --- */
/* First header of that name (case-insensitive); data NULL when there is none. */
struct slice http_header(const struct http_request *rq, const char *name);
/* Next header whose name starts with 'prefix' (case-insensitive) at or after *at; false at the end. */
bool http_header_prefix(const struct http_request *rq, const char *prefix, uint32_t *at, struct http_header *ret);
/* data NULL when absent; "" (data not NULL) when present without a value. */
struct slice http_query(const struct http_request *rq, const char *name);
/* Bytes of the body that were not read yet; UINT64_MAX when chunked and not at its end. */
uint64_t http_body_left(const struct http_request *rq);
/* Next bytes of the body into 'data'; *ret_size 0: the end. Sends "100 Continue" before the first read when
 * asked for. -E_SYNTAX (bad chunk), -ETIMEDOUT, -E_CLOSED (client gone: fewer bytes than announced). */
WAITS int http_body_read(struct http_request *rq, void *data, size_t capacity, size_t *ret_size);
/* The whole body, up to 'limit' bytes, in the arena. -E_LIMIT. */
WAITS int http_body_all(struct http_request *rq, size_t limit, struct slice *ret_body);
/* Trailers of a chunked body, after its end. */
struct slice http_trailer(const struct http_request *rq, const char *name);

/* --- Replying. A handler calls http_reply_begin() once, adds headers, then either sends one
 * body, or streams. Names that are no tokens and values with control bytes are refused (-E_SYNTAX), so are
 * the headers that the server makes itself (-EINVAL): Content-Length, Transfer-Encoding, Connection, Date, and the
 * request ids. A handler that returns without a reply has replied 500. --- */
void http_reply_begin(struct http_request *rq, int status);
int  http_reply_header(struct http_request *rq, const char *name, struct slice value);
int  http_reply_headerf(struct http_request *rq, const char *name, const char *format, ...) PRINTF_LIKE(3, 4);
/* Sends status, headers and this body with Content-Length; ends the reply. */
WAITS int http_reply_body(struct http_request *rq, const char *content_type, struct slice body);
WAITS int http_reply_empty(struct http_request *rq);   /* Content-Length: 0, or none for 204 and 304. */
/* Streams: 'size' known in advance (UINT64_MAX: chunked, or close for HTTP/1.0). */
WAITS int http_reply_stream(struct http_request *rq, uint64_t size);
WAITS int http_reply_write(struct http_request *rq, struct slice bytes);          /* Gathers small writes. */
WAITS int http_reply_flush(struct http_request *rq);   /* Sends what was gathered so far. */
WAITS int http_reply_end(struct http_request *rq);
/* After a failure in mid-stream: the connection is closed so that the client sees a short body. */
void http_reply_abort(struct http_request *rq);
/* HEAD and tests: announces a length without sending bytes. */
WAITS int http_reply_length_only(struct http_request *rq, uint64_t size);
bool http_reply_begun(const struct http_request *rq);
int  http_reply_status(const struct http_request *rq);

/* --- Server. --- */
typedef WAITS void (*http_handler)(void *ctx, struct http_request *rq);

/* Zero means the constant above; tests shorten them. */
struct http_limits {
    uint32_t header_timeout_ms, idle_timeout_ms, body_timeout_ms, send_timeout_ms, linger_ms;
    uint32_t connections_max, requests_max;
};

struct http_server_options {
    const char *name;                  /* "object", "identity": for logs and metrics. */
    struct tls *tls;                   /* NULL: plain. */
    bool        swift_trans_id;        /* X-Trans-Id beside X-Openstack-Request-Id on every answer. */
    bool        access_log;
    struct http_limits limits;
};
/* Handlers run for every request of a listener; routing by table is http_route() below. */
struct http_server *http_server_new(struct env *env, const struct http_server_options *options,
                                    http_handler handler, void *ctx);
int  http_server_listen(struct http_server *server, const char *address, struct error *err);   /* Spawns the accept task. */
uint16_t http_server_port(const struct http_server *server);
WAITS void http_server_stop(struct http_server *server, int64_t deadline);   /* No new requests; waits for those in flight. */
struct http_server *http_server_free(struct http_server *server);   /* After http_server_stop(); accepts NULL. */
uint32_t http_server_connections(const struct http_server *server);
uint32_t http_server_requests(const struct http_server *server);   /* Being handled now. */

/* --- Routing for REST services: a table is the API as data. --- */
enum { HTTP_PARAMS_MAX = 8 };
struct http_params {
    uint32_t     count;
    struct slice value[HTTP_PARAMS_MAX];   /* In order of the pattern's {...}; percent-decoded. */
};
typedef WAITS void (*http_route_fn)(void *ctx, struct http_request *rq, const struct http_params *params);
struct http_route {
    const char   *method;    /* "GET"; HEAD falls back to GET. */
    const char   *pattern;   /* "/v3/users/{user_id}"; a segment is literal or {name}. */
    http_route_fn handler;
    const char   *action;    /* Policy action and metric: "identity:get_user". */
};
/* Runs the matching route; otherwise answers 404, or 405 with Allow, through 'fail'. */
WAITS void http_route(const struct http_route *routes, size_t count, void *ctx, struct http_request *rq,
                      void (*fail)(void *ctx, struct http_request *rq, int status, const char *why));

/* --- Helpers shared by dialects. --- */
struct tm;
void         http_date(int64_t unix_s, char out[32]);                   /* IMF-fixdate. */
bool         http_date_parse(struct slice text, int64_t *ret_unix_s);   /* The three forms of RFC 9110. */
/* "bytes=..." against a size. 0 and *ret_count 0: no or ignorable range; -ERANGE: none satisfiable (416). */
struct http_range {
    uint64_t first, size;   /* Bytes. */
};
enum { HTTP_RANGES_MAX = 50 };
int http_ranges(struct slice header, uint64_t size, struct http_range ranges[HTTP_RANGES_MAX], uint32_t *ret_count);
/* Percent-encodes all but unreserved bytes and those in 'keep'. */
struct slice http_quote(struct arena *arena, struct slice text, const char *keep);
int          http_unquote(struct arena *arena, struct slice text, bool plus_is_blank, struct slice *ret_text);   /* -E_SYNTAX */
const char  *http_status_text(int status);
bool         http_valid_utf8(struct slice text);

#endif
