/* tests/lib/keystone.h - the Keystone API and Swift's login on a real HTTP server in the test's process, and a client.
 *
 * A test is a function that gets a running cloud of one user base; what it leaves
 * is removed. Texts live in the fixture's arena; the JSON of an answer is the
 * caller's, to json_decref(). */
#ifndef TESTS_LIB_KEYSTONE_H
#define TESTS_LIB_KEYSTONE_H

#include <jansson.h>

#include "identity/private.h"

struct ks {
    struct env         *env;
    char                dir[64];
    struct control     *control;
    struct identity    *identity;
    struct http_server *server;
    struct arena        arena;
    char               *admin_password, *demo_password;
    char                address[64];
    char                token[TOKEN_TEXT_MAX];   /* Of the admin. */
};

struct ks_answer {
    int    status;
    char  *head;      /* Status line and headers. */
    char  *text;      /* Body. */
    json_t *json;     /* Body, if it is JSON. */
};

struct ks_test {
    void (*fn)(struct ks *f);
};
#define KS_TEST(test) { #test, ks_run, NULL, NULL, &(struct ks_test) { test } }
void ks_run(void **state);   /* Runs a struct ks_test in a loop of its own. */
/* In a test, to restart: the store stays. */
WAITS void ks_open(struct ks *f);
WAITS void ks_close(struct ks *f);

/* 'headers': "name: value" lines, each ended by CRLF; or NULL. 'body' may be NULL. */
WAITS struct ks_answer ks_ask(struct ks *f, const char *method, const char *path, const char *headers, const char *body);
const char            *ks_header(struct ks *f, const struct ks_answer *a, const char *name);   /* NULL: none. */
/* With a token; and without looking at more than the status. */
WAITS struct ks_answer ks_as(struct ks *f, const char *token, const char *method, const char *path, const char *body);
WAITS int              ks_status(struct ks *f, const char *token, const char *method, const char *path, const char *body);
/* A path of members and indices: "token.roles.0.name". */
const json_t *ks_at(const json_t *json, const char *path);
const char   *ks_text(const json_t *json, const char *path);   /* "(none)" when it is no text. */

WAITS struct ks_answer ks_login(struct ks *f, const char *user, const char *password, const char *scope);
WAITS const char      *ks_token(struct ks *f, const char *user, const char *password, const char *scope);
#define KS_PROJECT(name) "{\"project\":{\"name\":\"" name "\",\"domain\":{\"name\":\"Default\"}}}"
/* The id of the one object of a collection ("users") with this name. */
WAITS const char *ks_id(struct ks *f, const char *kind, const char *name);
/* The error body of Keystone. */
void ks_assert_error(struct ks_answer a, int code, const char *title);

#endif
