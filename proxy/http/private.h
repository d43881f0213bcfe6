/* proxy/http/private.h - what the files of this folder share: the parser's
 * results and the state of a connection.
 *
 * A connection is one task, which reads heads, runs the handler and writes
 * replies; nothing here is touched by two tasks at once except the lists and
 * flags that http_server_stop() uses, between two waits. */
#ifndef PROXY_HTTP_PRIVATE_H
#define PROXY_HTTP_PRIVATE_H

#include "proxy/http/chunk.h"
#include "proxy/http/http.h"

/* Why a request is refused before a handler sees it. */
struct http_refusal {
    int         status;
    const char *why;   /* For the body; a sentence without the status. */
};

/* --- Heads (parse.c): no I/O. --- */
struct http_head {
    size_t   scanned;       /* Bytes of whole lines seen so far. */
    size_t   size;          /* Of the head with its empty line, once complete. */
    uint32_t lines;         /* Request line and headers, without the empty line. */
    bool     keep_alive;    /* As the client's version and Connection say. */
    bool     http10;
};

/* Finds the end of the head in what arrived so far, which begins with the same
 * bytes at each call. 0: complete; -EAGAIN: more is needed; -E_SYNTAX with '*err'. */
int http_head_scan(struct http_head *head, struct slice bytes, struct http_refusal *err);
/* Parses a complete head. Fills the request's fields, which borrow 'bytes'; only
 * rq->arena must be set up before. -E_SYNTAX with '*err'; -ENOMEM likewise. */
int http_head_parse(struct http_head *head, struct slice bytes, bool swift, struct http_request *rq,
                    struct http_refusal *err);
bool http_is_token(struct slice text);
bool http_is_value(struct slice text);   /* No control bytes but tabs. */
struct slice http_trim(struct slice text);
bool http_name_is(struct slice name, const char *lower, size_t size);   /* Case-insensitive. */

/* --- Connections. --- */
enum { HTTP_IN_BYTES = 8192, HTTP_IN_ROOM_MIN = 1024 };

struct http_body {
    uint64_t left;               /* With a length: bytes not read yet. */
    bool     done;
    bool     expect_pending;     /* "100 Continue" was asked for and not sent. */
    int      rc;                 /* Sticky failure. */
    struct http_chunks chunks;
    struct http_header *trailers;
    uint32_t trailer_count;
};

struct http_reply {
    int      status;
    bool     begun, streaming, chunked, no_body;
    bool     head_done;          /* Content-Length and the empty line are in 'text'. */
    bool     head_sent, ended, aborted;
    int      rc;                 /* Sticky failure of writing. */
    uint64_t size, written;      /* Of the body. */
    uint64_t sent;               /* Bytes on the wire. */
    uint8_t *text;               /* Head; arena. */
    uint32_t text_size, text_capacity;
    struct buf *gather;          /* Small writes of a stream. */
    uint32_t gather_size;
    const char *allow;           /* Of a 405, from http_route(); added to whatever the service answers. */
};

struct http_connection {
    struct http_request rq;      /* The request being handled. */
    struct http_server *server;
    struct http_connection *previous, *next;   /* Of server->connections. */
    struct conn *conn;
    struct task *task;           /* NULL until it runs. */
    bool     idle;               /* Waits for a request: may be shut down at once. */
    bool     keep;               /* Another request may follow. */
    bool     broken;             /* Nothing more can be written or read. */
    bool     counted;            /* In server->connection_count, against the limit. */
    struct http_head head;
    struct buf *in;              /* Bytes received; NULL while idle. */
    uint32_t in_start, in_end;   /* Unread part of 'in'. */
    struct buf *head_buf;        /* Holds the head when 'in' had to be changed; else NULL. */
    struct http_body body;
    struct http_reply reply;
    uint64_t received;           /* Bytes of this request, head included. */
    const char *peer_end;        /* Of the access log: "" or why it ended early. */
};

static inline struct http_connection *http_connection_of(const struct http_request *rq)
{
    return rq->state;
}

struct http_server {
    struct env *env;
    struct http_server_options options;
    struct http_limits limits;   /* With the defaults filled in. */
    char     name[32];
    http_handler handler;
    void    *ctx;
    struct listener *listener;
    struct task *accept_task;
    bool     listening, stopping;
    struct http_connection *connections;
    uint32_t connection_count, reject_count, request_count;
    struct wait_group live;      /* Tasks: the accepting one and the connections. */
    uint64_t id_state[2];        /* Of request ids: unique, not secret. */
    int64_t  date_s;             /* What 'date' says. */
    char     date[64];           /* "Date: ...\r\n" */
    uint32_t date_size;
    struct http_stats *stats;
};

int64_t http_deadline(struct http_connection *c, uint32_t ms);
/* Reads more bytes behind in_end, making room; 0 with *ret_size 0 at the end of the stream. */
WAITS int http_in_fill(struct http_connection *c, int64_t deadline, size_t *ret_size);
void http_body_init(struct http_connection *c);
/* Reads away what the handler left; false: the connection cannot be kept. */
WAITS bool http_body_drain(struct http_connection *c);
void http_reply_init(struct http_connection *c);
void http_reply_done(struct http_connection *c);
/* A plain-text answer for refusals and failures of this layer. */
WAITS int http_reply_refuse(struct http_request *rq, int status, const char *why);
/* Sends 100 Continue when it is due. */
WAITS int http_reply_continue(struct http_connection *c);
/* Makes X-Trans-Id or X-Openstack-Request-Id into rq->trace. */
void http_make_trace(struct http_server *server, struct http_request *rq);
struct slice http_server_date(struct http_server *server);

/* --- Numbers (stats.c). --- */
struct http_stats *http_stats_of(const char *server_name);
void http_stats_request(struct http_stats *stats, const struct http_request *rq, int status, int64_t ns);
void http_stats_connections(int change);
void http_stats_requests(int change);
void http_stats_refused(int status);

#endif
