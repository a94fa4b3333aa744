/* SPDX-License-Identifier: Apache-2.0
 *
 * One SMTP or LMTP dialogue (RFC 5321, RFC 2033) as a pure state machine: bytes in, replies out, no
 * sockets, no clock, no threads.  smtp_server.c feeds it; tests and the fuzzer do, too.
 *
 *        +-------------------- RSET, EHLO, STARTTLS -------------------+
 *        v                                                             |
 *   COMMAND --MAIL, RCPT--> COMMAND --DATA (354)--> DATA --CRLF.CRLF--> COMMIT
 * --smtp_session_done--> COMMAND |                                         ^
 *                              +--BDAT n--> CHUNK --n octets--> COMMAND  |
 *                              +--BDAT n LAST--> CHUNK --n octets--------+
 *   any --QUIT, smuggling, too many errors, time-out--> CLOSING        COMMAND --STARTTLS--> TLS
 *
 * Invariants:
 *  1. 250 for a message is written by smtp_session_done(FB_OK) only (smtp_conn.c may send the same
 * line ahead of it), which the owner calls after the spool's fdatasync.
 *  2. In COMMIT no input is read: commands that were sent behind the final dot wait.
 *  3. After an abort nothing of the message reaches the host again; its bytes are read to their
 * true end.
 *  4. What is not CRLF.CRLF never ends DATA; octets of a refused BDAT are never taken for commands.
 */
#ifndef FB_INGEST_SMTP_SESSION_H
#define FB_INGEST_SMTP_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "proto/envelope.h"
#include "smtp_command.h"
#include "smtp_data.h"

#define SMTP_MAX_LINE_COMMAND                                                                      \
    2048 /* with CRLF: 512 of RFC 5321 4.5.3.1.4 and what the extensions add */
#define SMTP_MAX_ERRORS 20
#define SMTP_MAX_HELO   255
#define SMTP_OUT_PAUSE                                                                             \
    (32U << 10) /* replies waiting to be sent, above which no more input is read */

struct smtp_settings {
    const char *hostname; /* all strings are lent for the session's life */
    bool is_lmtp;
    bool has_tls; /* STARTTLS is offered */
    uint64_t max_message;
    uint32_t max_recipients;
};

/* What the dialogue needs from the world. */
struct smtp_host {
    /* At MAIL: may mail be taken now?  FB_NO_SPACE: answered 452 4.3.1. */
    enum fb_status (*may_accept)(void *ctx);
    /* A message begins; then add any number of times; then commit or abort, once. */
    enum fb_status (*open)(void *ctx);
    enum fb_status (*add)(void *ctx, const uint8_t *ptr, size_t len);
    /* Takes what the envelope owns and calls smtp_session_done later; received_ms and trace are the
     * host's to fill. Must not call smtp_session_done from within. */
    void (*commit)(void *ctx, struct fb_envelope *envelope);
    void (*abort)(void *ctx);
    /* Whether the peer has sent more than was given to smtp_session_input. */
    bool (*has_input)(void *ctx);
    /* A message was refused after its MAIL; reason is a short static word for metrics. */
    void (*refused)(void *ctx, const char *reason);
    /* Why may_accept said FB_NO_SPACE, for the reply; may be NULL. */
    const char *(*why)(void *ctx);
};

enum smtp_state { SMTP_COMMAND, SMTP_DATA, SMTP_CHUNK, SMTP_COMMIT, SMTP_TLS, SMTP_CLOSING };

struct smtp_session {
    const struct smtp_settings *settings;
    const struct smtp_host *host;
    void *host_ctx;
    struct fb_buf out; /* replies not sent yet; the owner consumes */

    enum smtp_state state;
    bool is_esmtp, is_tls, may_xforward;
    char client[46];              /* peer's address as text */
    char helo[SMTP_MAX_HELO + 1]; /* "" = not greeted */
    uint32_t errors;
    bool has_quit;     /* closing at the peer's wish */
    uint64_t commands; /* complete lines so far: the owner's time-out looks at it */

    uint8_t line[SMTP_MAX_LINE_COMMAND]; /* an incomplete line */
    size_t line_len;
    bool is_line_long; /* too long: dropped up to its LF */

    /* the transaction */
    bool has_mail, has_xforward;
    struct fb_envelope envelope;
    size_t recipient_cap;
    struct smtp_xforward xforward;

    /* its content */
    struct scan scan;
    bool is_open;          /* the host holds a message */
    bool is_chunked;       /* BDAT was used */
    bool is_chunk_refused; /* the octets of this chunk are dropped */
    bool is_chunk_last;
    bool has_chunk_failed; /* RFC 3030 2: nothing but RSET helps */
    uint64_t chunk_left;
    struct smtp_refusal chunk_refusal;
    enum fb_status content_status; /* first failure while the content came */
    size_t reply_count;            /* LMTP: replies due for the message */
};

/* client: numeric address of the peer.  Writes the greeting. */
void smtp_session_init(struct smtp_session *s, const struct smtp_settings *settings,
                       const struct smtp_host *host, void *host_ctx, const char *client,
                       bool may_xforward);
/* Aborts an open message. */
void smtp_session_deinit(struct smtp_session *s);

/* Reads input and returns how much of it was consumed.  Less than len: a commit is under way, or
 * replies must be sent first; the owner gives the rest again later. */
size_t smtp_session_input(struct smtp_session *s, const uint8_t *p, size_t len);
/* The end of the commit: the one place that answers 250 to a message. */
void smtp_session_done(struct smtp_session *s, enum fb_status status, const char *msg_id);
/* The line that smtp_session_done(FB_OK) writes for SMTP; for a host that sends it on its own,
 * ahead of that call.  Returns its length. */
#define SMTP_ACCEPTED_SIZE 64
size_t smtp_session_accepted(char out[SMTP_ACCEPTED_SIZE], const char *msg_id);
/* The TLS handshake is over (or failed: then the owner closes); begins anew (RFC 3207 4.2). */
void smtp_session_secured(struct smtp_session *s);
/* Writes "421 <enhanced> <hostname> <text>" and ends the dialogue. Not while a commit is under way.
 */
void smtp_session_shutdown(struct smtp_session *s, const char *enhanced, const char *text);
/* Neither a transaction nor a commit is under way. */
bool smtp_session_is_idle(const struct smtp_session *s);

/* Greets nobody: the reply for a peer that may not connect at all. */
int smtp_refuse_connection(char *out, size_t size, int code, const char *enhanced,
                           const char *hostname, const char *text);

#endif
