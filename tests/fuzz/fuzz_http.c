/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as what a client sends to the HTTP server of portal and webhooks (octet 0 even) or to
 * ingest's (odd): several requests on one connection, over a real socket.
 *
 * Checked against a model that reads only what every proxy reads in the same way.  The pages' server
 * hands on exactly the model's requests, each with its body, up to the first one whose length could
 * be read in two ways; nothing from there on reaches the handler.  Ingest commits only with the
 * token, for recipients that are addresses, and no line end but CRLF.  Answers begin with a status
 * line.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/crypto.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/netlist.h"
#include "services/ingest/accept.h"
#include "services/ingest/http.h"
#include "tests/support/free_port.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
enum fb_status __wrap_accept_open(struct acceptor *a, struct acceptance **m_r,
                                  struct fb_error *err);
enum fb_status __wrap_accept_add(struct acceptance *m, const void *ptr, size_t len);
enum fb_status __wrap_acceptor_may_accept(const struct acceptor *a);
void __wrap_accept_abort(struct acceptance **m);
void __wrap_accept_commit(struct acceptance **m, struct fb_envelope *envelope, accept_done_fn *done,
                          void *ctx);

#define TOKEN     "token-of-the-fuzz-target"
#define MAX_BODY  4096
#define MAX_CALLS 64
#define WAIT_MS   10000
#define MOMENT_MS 5

/* What the handlers saw; they run in the server's threads, while this one waits. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char method[16];
    size_t body_len;
    uint32_t body_sum;
    bool is_too_big;
} calls[MAX_CALLS];
static size_t call_count;
static uint16_t client_port;
static struct fb_slice input; /* while a client talks */

static uint32_t sum(struct fb_slice s)
{
    uint32_t h = 2166136261U;
    for (size_t i = 0; i < s.len; i++) {
        h = (h ^ s.ptr[i]) * 16777619U;
    }
    return h;
}

/* ---- the pages' server ---- */

static void handle(void *ctx, const struct fb_http_request *r, struct fb_http_answer *a)
{
    struct fb_buf list;
    (void)ctx;
    fb_buf_init(&list, 1024);
    (void)pthread_mutex_lock(&lock);
    /* A client before this one may have gone while a request of its own was on its way. */
    const struct sockaddr_in *peer = (const struct sockaddr_in *)(const void *)r->peer;
    bool is_counted = peer != NULL && ntohs(peer->sin_port) == client_port;
    if (is_counted && call_count < MAX_CALLS) {
        (void)snprintf(calls[call_count].method, sizeof calls[0].method, "%s", r->method);
        calls[call_count].body_len = r->body.len;
        calls[call_count].body_sum = sum(r->body);
        calls[call_count].is_too_big = r->is_too_big;
    }
    call_count += is_counted ? 1 : 0;
    (void)pthread_mutex_unlock(&lock);
    FB_ASSERT(r->body.len <= MAX_BODY && r->path != NULL && r->method[0] != '\0');
    FB_ASSERT(!r->is_too_big || r->body.len == 0);
    const char *cookie = fb_http_cookie(r, "session");
    const char *query = fb_http_query(r, "q");
    const char *host = fb_http_header(r, "Host");
    enum fb_status s = fb_http_header_list(r, "Accept-Language", &list);
    FB_ASSERT(s == FB_OK || s == FB_TOO_BIG);
    fb_buf_deinit(&list);
    a->status = 200;
    fb_http_answer_header(a, "Content-Type", "text/plain");
    enum fb_status added =
        fb_buf_printf(&a->body, "%zu %zu %zu", cookie != NULL ? strlen(cookie) : 0,
                      query != NULL ? strlen(query) : 0, host != NULL ? strlen(host) : 0);
    FB_ASSERT(added == FB_OK);
}

/* ---- ingest's ---- */

struct acceptance {
    struct fb_buf content;
};

enum fb_status __wrap_acceptor_may_accept(const struct acceptor *a)
{
    FB_ASSERT(a == NULL);
    return FB_OK;
}

enum fb_status __wrap_accept_open(struct acceptor *a, struct acceptance **m_r, struct fb_error *err)
{
    (void)a;
    (void)err;
    *m_r = fb_xcalloc(1, sizeof **m_r);
    fb_buf_init(&(*m_r)->content, 1U << 20);
    return FB_OK;
}

enum fb_status __wrap_accept_add(struct acceptance *m, const void *ptr, size_t len)
{
    FB_ASSERT(len > 0);
    return fb_buf_add(&m->content, ptr, len);
}

void __wrap_accept_abort(struct acceptance **m)
{
    if (*m != NULL) {
        fb_buf_deinit(&(*m)->content);
        free(*m);
        *m = NULL;
    }
}

void __wrap_accept_commit(struct acceptance **m, struct fb_envelope *envelope, accept_done_fn *done,
                          void *ctx)
{
    struct fb_slice c = fb_slice_buf(&(*m)->content);
    FB_ASSERT(fb_slice_find(input, FB_SLICE_LITERAL(TOKEN)) != SIZE_MAX);
    FB_ASSERT(envelope->reverse_path != NULL && envelope->recipient_count > 0 &&
              envelope->recipient_count <= 5 && c.len > 0);
    for (size_t i = 0; i < envelope->recipient_count; i++) {
        const char *address = envelope->recipients[i].address;
        FB_ASSERT(address[0] != '\0' && strpbrk(address, "\r\n<>") == NULL);
    }
    for (size_t i = 0; i < c.len; i++) {
        FB_ASSERT(c.ptr[i] != '\0' && (c.ptr[i] != '\n' || (i > 0 && c.ptr[i - 1] == '\r')));
        FB_ASSERT(c.ptr[i] != '\r' || (i + 1 < c.len && c.ptr[i + 1] == '\n'));
    }
    FB_ASSERT(c.ptr[c.len - 1] == '\n');
    fb_envelope_deinit(envelope);
    __wrap_accept_abort(m);
    done(ctx, FB_OK, "01HZZZZZZZZZZZZZZZZZZZZZZZ");
}

/* ---- the model ---- */

struct head {
    size_t lengths, encodings;
    uint64_t length;
    bool is_odd;     /* the length can be read in two ways */
    bool is_strange; /* not of the model: others decide */
    bool is_close, is_expecting, is_chunked;
};

static bool is_token(struct fb_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        bool is = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_';
        if (!is) {
            return false;
        }
    }
    return s.len > 0;
}

static bool is_printable(struct fb_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < 0x20 || s.ptr[i] > 0x7e) {
            return false;
        }
    }
    return true;
}

static void read_field(struct head *h, struct fb_slice line)
{
    size_t colon = fb_slice_find(line, FB_SLICE_LITERAL(":"));
    struct fb_slice name = fb_slice_sub(line, 0, colon == SIZE_MAX ? 0 : colon);
    struct fb_slice value = fb_slice_trim(fb_slice_sub(line, name.len + 1, SIZE_MAX));
    if (!is_token(name) || !is_printable(line)) {
        h->is_strange = true;
    } else if (fb_slice_ieq_str(name, "Content-Length")) {
        h->lengths++;
        h->is_strange = h->is_strange || value.len == 0 || value.len > 6;
        for (size_t i = 0; i < value.len; i++) {
            h->is_strange = h->is_strange || value.ptr[i] < '0' || value.ptr[i] > '9';
            h->length = h->length * 10 + (uint64_t)(value.ptr[i] - '0');
        }
    } else if (fb_slice_ieq_str(name, "Transfer-Encoding")) {
        h->encodings++;
        h->is_chunked = fb_slice_ieq_str(value, "chunked");
        h->is_odd = h->is_odd || !h->is_chunked;
    } else if (fb_slice_ieq_str(name, "Connection") || fb_slice_ieq_str(name, "Expect") ||
               fb_slice_ieq_str(name, "Upgrade")) {
        h->is_close = true; /* whether it goes on behind it is the library's to say */
    }
}

/* One request off the front.  False: what is there is none, or not of the model. */
static bool read_request(struct fb_slice *rest, struct head *h, struct fb_slice *method_r,
                         struct fb_slice *body_r)
{
    size_t end = fb_slice_find(*rest, FB_SLICE_LITERAL("\r\n\r\n"));
    *h = (struct head){0};
    if (end == SIZE_MAX || end > 2000) {
        return false;
    }
    struct fb_slice head = fb_slice_sub(*rest, 0, end + 2);
    size_t n = fb_slice_find(head, FB_SLICE_LITERAL("\r\n"));
    struct fb_slice line = fb_slice_sub(head, 0, n);
    size_t blank = fb_slice_find(line, FB_SLICE_LITERAL(" "));
    *method_r = fb_slice_sub(line, 0, blank == SIZE_MAX ? 0 : blank);
    struct fb_slice target = fb_slice_sub(line, method_r->len + 1, SIZE_MAX);
    bool is_line = (fb_slice_eq(*method_r, FB_SLICE_LITERAL("GET")) ||
                    fb_slice_eq(*method_r, FB_SLICE_LITERAL("POST"))) &&
                   is_printable(line) && target.len > 10 && target.ptr[0] == '/' &&
                   memchr(target.ptr, '%', target.len) == NULL &&
                   fb_slice_find(target, FB_SLICE_LITERAL(" HTTP/1.1")) == target.len - 9;
    head = fb_slice_sub(head, n + 2, SIZE_MAX);
    size_t hosts = 0;
    while (is_line && head.len > 0) {
        n = fb_slice_find(head, FB_SLICE_LITERAL("\r\n"));
        line = fb_slice_sub(head, 0, n);
        hosts += fb_slice_istarts(line, "host:") ? 1 : 0;
        read_field(h, line);
        head = fb_slice_sub(head, n + 2, SIZE_MAX);
    }
    if (!is_line || h->is_strange || hosts != 1) {
        return false;
    }
    h->is_odd = h->is_odd || h->lengths + h->encodings > 1;
    *rest = fb_slice_sub(*rest, end + 4, SIZE_MAX);
    *body_r = fb_slice_sub(*rest, 0, (size_t)h->length);
    return h->is_odd || (!h->is_chunked && body_r->len == h->length);
}

/* The requests that must reach the handler; *ends_r: the next one must not, nor any behind it. */
static size_t expect(struct fb_slice rest, struct fb_slice bodies[MAX_CALLS],
                     struct fb_slice methods[MAX_CALLS], bool *ends_r)
{
    struct head h;
    size_t n = 0;
    *ends_r = false;
    while (n < MAX_CALLS && read_request(&rest, &h, &methods[n], &bodies[n])) {
        if (h.is_odd) {
            *ends_r = true;
            break;
        }
        if (h.length > MAX_BODY || h.is_close) {
            break;
        }
        rest = fb_slice_sub(rest, bodies[n].len, SIZE_MAX);
        n++;
    }
    return n;
}

/* ---- the client ---- */

static uint16_t ports[2];

static size_t count_answers(const char *text, size_t len)
{
    static const char line[] = "HTTP/1.1 ";
    size_t n = 0;
    for (const char *at = text; (at = memmem(at, len - (size_t)(at - text), line, 9)) != NULL;
         at += 9) {
        n++;
    }
    return n;
}

/* The machine may be short of ports for a moment. */
static int connect_to(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0;; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0) {
            return fd;
        }
        int error = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        if (i == 100) {
            (void)fprintf(stderr, "connect: %s\n", strerror(error));
            abort();
        }
        (void)poll(NULL, 0, 20);
    }
}

/* Sends all, ends its side, and reads so many answers; then whatever comes within a moment.  (The
 * end of the connection is no sign: libmicrohttpd 0.9.75 sees ours at times only when the idle time
 * is over.) */
static void talk(uint16_t port, size_t wanted)
{
    static char answer[1U << 16];
    size_t len = 0;
    struct sockaddr_in own;
    socklen_t own_len = sizeof own;
    int fd = connect_to(port);
    FB_ASSERT(getsockname(fd, (struct sockaddr *)&own, &own_len) == 0);
    (void)pthread_mutex_lock(&lock);
    call_count = 0;
    client_port = ntohs(own.sin_port);
    (void)pthread_mutex_unlock(&lock);
    struct linger gone = {.l_onoff = 1}; /* no port is left waiting */
    FB_ASSERT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &gone, sizeof gone) == 0);
    for (size_t at = 0; at < input.len;) {
        ssize_t n = send(fd, input.ptr + at, input.len - at, MSG_NOSIGNAL);
        if (n <= 0) {
            break; /* refused, and closed */
        }
        at += (size_t)n;
    }
    (void)shutdown(fd, SHUT_WR);
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        bool is_missing = count_answers(answer, len) < wanted;
        int ready = poll(&p, 1, is_missing ? WAIT_MS : MOMENT_MS);
        FB_ASSERT(ready == 1 || !is_missing);
        ssize_t n = ready == 1 ? recv(fd, answer + len, sizeof answer - len, 0) : 0;
        if (n <= 0) {
            break;
        }
        len += (size_t)n;
    }
    FB_ASSERT(len < 5 || memcmp(answer, "HTTP/", 5) == 0);
    (void)close(fd);
}

static struct fb_http_server *pages;
static struct http_server *ingest;
static struct fb_netlist *allow;

static void start_pages(void)
{
    char listen_on[32];
    for (int i = 0; i < 20 && pages == NULL; i++) {
        ports[0] = free_port();
        (void)snprintf(listen_on, sizeof listen_on, "127.0.0.1:%u", ports[0]);
        const struct fb_http_options options = {.listen = listen_on,
                                                .key = "fuzz",
                                                .threads = 1,
                                                .connections = 64,
                                                .idle_s = 5,
                                                .request_ms = 5000,
                                                .max_head = 16384,
                                                .max_body = MAX_BODY,
                                                .max_answer = 1024,
                                                .handle = handle};
        if (fb_http_server_new(&options, &pages, NULL) != FB_OK) {
            pages = NULL;
        }
    }
    FB_ASSERT(pages != NULL);
}

static void start_ingest(void)
{
    static struct fb_config config;
    static char token[] = TOKEN, listen_on[32];
    static char all[] = "127.0.0.0/8";
    char *items[] = {all};
    const struct fb_string_list nets = {.items = items, .count = 1};
    FB_ASSERT(fb_netlist_new(&nets, "fuzz", &allow, NULL) == FB_OK);
    for (int i = 0; i < 20 && ingest == NULL; i++) {
        ports[1] = free_port();
        (void)snprintf(listen_on, sizeof listen_on, "127.0.0.1:%u", ports[1]);
        config.ingest.http = listen_on;
        config.ingest.token = token;
        config.ingest.max_message = 4096;
        config.ingest.max_recipients = 5;
        config.ingest.max_connections = 64;
        config.ingest.max_connections_per_client = 64;
        if (http_server_new(&config, NULL, allow, &ingest, NULL) != FB_OK) {
            ingest = NULL;
        }
    }
    FB_ASSERT(ingest != NULL);
}

/* Before OpenSSL ends: a worker may still be at its last request. */
static void stop(void)
{
    fb_http_server_free(&pages);
    http_server_free(&ingest);
    fb_netlist_free(&allow);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    fb_log_init("fuzz", FB_FATAL, true);
    uint8_t digest[FB_SHA256_SIZE];
    fb_sha256("", 0, digest); /* starts OpenSSL, whose own end comes after stop() then */
    start_pages();
    start_ingest();
    FB_ASSERT(atexit(stop) == 0);
    return 0;
}

static void try_pages(void)
{
    static struct fb_slice bodies[MAX_CALLS], methods[MAX_CALLS];
    bool ends = false;
    size_t n = expect(input, bodies, methods, &ends);
    talk(ports[0], n + (ends ? 1 : 0));
    (void)pthread_mutex_lock(&lock);
    FB_ASSERT(call_count >= n && (!ends || call_count == n));
    for (size_t i = 0; i < n; i++) {
        FB_ASSERT(strlen(calls[i].method) == methods[i].len && !calls[i].is_too_big &&
                  memcmp(calls[i].method, methods[i].ptr, methods[i].len) == 0);
        FB_ASSERT(calls[i].body_len == bodies[i].len && calls[i].body_sum == sum(bodies[i]));
    }
    (void)pthread_mutex_unlock(&lock);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    input = fb_slice_of(data + 1, size - 1);
    if ((data[0] & 1) == 0) {
        try_pages();
    } else {
        talk(ports[1], 0);
    }
    return 0;
}
