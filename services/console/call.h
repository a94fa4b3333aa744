/* SPDX-License-Identifier: Apache-2.0
 *
 * One request to the console: who asks, for what, in which language, and what is answered.
 *
 * 1. A handler runs only when its route's permission was found to be the caller's (router.c).
 * 2. GET and HEAD change nothing.  Whoever changes something has shown the CSRF token or a personal token.
 * 3. Every change writes a line to the audit, before it is made where it cannot be undone (console_audit).
 * 4. Content of mails is never read, shown or logged; subjects only go to who may see messages.
 */
#ifndef FB_CONSOLE_CALL_H
#define FB_CONSOLE_CALL_H

#include <jansson.h>
#include <pthread.h>

#include "common/config.h"
#include "common/http_server.h"
#include "common/json_words.h"
#include "common/netlist.h"
#include "common/policy/service_source.h"
#include "common/redis_pool.h"
#include "common/web.h"
#include "services/console/console.h"

#define CONSOLE_THREADS 8           /* handlers: most of the time they wait for Redis */
#define CALL_PARAMS     2           /* parts of a path that name something */
#define CALL_PARAM_SIZE 129         /* of one, and its end */
#define CONSOLE_READERS 2           /* threads that read requests and send answers */
#define CALL_ANYBODYS   (64U << 10) /* a body of whoever has not signed in */
#define CALL_MAX_BODY   (5U << 20)  /* a policy of 4 MiB as JSON text */
#define CALL_MAX_MAIL   (64U << 20) /* a mail for policy/test */
#define CALL_MAX_ANSWER (24U << 20)

struct console {
    const struct fb_config *config;
    char origin[300]; /* as browsers write it; "" = public_url is not set: http on this machine */
    bool is_https;
    struct fb_netlist *proxies; /* whose X-Forwarded-For is believed */
    struct fb_policy_follow *follow;
    struct console_accounts *accounts; /* what account.c keeps; NULL where it keeps nothing */
    pthread_mutex_t lock;              /* of warned_ms */
    struct fb_redis_pool *pool;        /* a connection for each handler */
    struct fb_redis_pool *gate; /* one for each thread that reads requests (console_is_known) */
    int64_t warned_ms;          /* when Redis' state was last complained of */
};

struct call {
    struct console *console;
    const struct fb_http_request *request;
    struct fb_http_answer *answer;
    struct fb_redis *redis; /* this call's own, for as long as it runs */
    struct console_who who; /* who asks; by nobody where the route is open to all */
    bool is_ja;
    struct fb_net_address client;
    char params[CALL_PARAMS][CALL_PARAM_SIZE]; /* what stands for {...} in the path, in its order */
    json_t *body;                              /* of a request with JSON: an object; NULL without */
};

/* ---- answers (answer.c) ---- */

/* Answers with JSON; takes value.  NULL (memory, or text that is not UTF-8) becomes 500. */
void answer_json(struct call *c, unsigned status, json_t *value);
/* Without a body. */
void answer_empty(struct call *c, unsigned status);
/* problem+json (RFC 9457) in the caller's language.  type: the last part of its URI, as "conflict". */
void answer_problem(struct call *c, unsigned status, const char *type, const char *ja,
                    const char *en);
/* The same with errors: an array of {"where", "what"}, taken. */
void answer_problem_list(struct call *c, unsigned status, const char *type, const char *ja,
                         const char *en, json_t *errors);
/* The same with another member of the problem, taken. */
void answer_problem_more(struct call *c, unsigned status, const char *type, const char *ja,
                         const char *en, const char *key, json_t *more);
/* 422 that names one field and says what is wrong with it. */
void answer_invalid(struct call *c, const char *where, const char *ja, const char *en);
/* By the error of a call below: not found, refused, Redis away (logged now and then), broken. */
void answer_error(struct call *c, const struct fb_error *err);

/* ---- what handlers ask for (answer.c) ---- */

/* Reads the request's body as an object of JSON into body; false: answered with 400. */
bool call_parse_body(struct call *c);
json_t *call_json_time(int64_t ms); /* RFC 3339, or null for 0 */
/* A text of the body; NULL when it is not there or no text. */
const char *call_text(const struct call *c, const char *key);
/* The query's limit, 1..200 (50 when not given); false: answered with 422. */
bool call_limit(struct call *c, size_t *limit_r);
/* A query's time (RFC 3339, or ms since 1970); false: answered with 422.  Untouched when not given. */
bool call_time(struct call *c, const char *name, int64_t *ms_r);

/* ---- routes (router.c) ---- */

enum route_access {
    ROUTE_OPEN,    /* nobody is asked: signing in, the document */
    ROUTE_SIGNED,  /* whoever is signed in, also when the second factor is not enrolled yet */
    ROUTE_ALLOWED, /* who has the permission */
};

struct console_route {
    const char *method;
    const char *path; /* "/api/v1/messages/{id}/recall"; {x} is one part without a slash */
    enum route_access access;
    enum console_permission permission; /* of ROUTE_ALLOWED */
    void (*handle)(struct call *c);
    bool takes_bytes; /* the body is not JSON: the handler reads request->body */
};
/* Ended by an entry without a method. */
extern const struct console_route api_routes[];     /* api.c */
extern const struct console_route account_routes[]; /* account_routes.c */

/* The handler of the server; ctx is the console. */
void console_handle(void *ctx, const struct fb_http_request *request,
                    struct fb_http_answer *answer);
size_t console_body_limit(void *ctx, const struct fb_http_request *head);

/* ---- the pages (assets.c) ---- */

/* Answers GET and HEAD of everything that is no API path with a file of the page. */
void assets_send(struct call *c);
/* The frame for a mail's HTML (preview_frame.c). */
#define PREVIEW_FRAME_PATH "/preview-frame"
void preview_frame_send(struct call *c);
/* Content-Security-Policy of all answers but that one. */
extern const char assets_policy[];

#endif
