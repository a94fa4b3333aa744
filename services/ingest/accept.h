/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking one message: id, spool, and, once it is durable, the answer and the queue, in this order.
 * SMTP and HTTP both come through here.
 *
 *   accept_open -> accept_add ... -> accept_commit --(committer thread, behind fdatasync)--> done,
 * enqueue
 *                                \-> accept_abort
 *
 * done is told FB_OK only when message and envelope lie on disk; whether Redis is there does not
 * matter to it.
 */
#ifndef FB_INGEST_ACCEPT_H
#define FB_INGEST_ACCEPT_H

#include <stdbool.h>

#include "common/config.h"
#include "common/spool/spool.h"
#include "enqueue.h"
#include "proto/envelope.h"

struct acceptor;
struct acceptance; /* a message under way; belongs to one thread until committed */

/* Told in the committer thread; msg_id is valid for the call. */
typedef void accept_done_fn(void *ctx, enum fb_status status, const char *msg_id);

/* Starts the spool's writer.  on_batch (may be NULL) is called behind the done calls of a group
 * commit.  spool and enqueuer are lent. */
FB_MUST_USE enum fb_status acceptor_new(const struct fb_config *config, struct fb_spool *spool,
                                        struct enqueuer *enqueuer, struct acceptor **acceptor_r,
                                        struct fb_error *err);
/* Before any message. */
void acceptor_on_batch(struct acceptor *a, void (*on_batch)(void *ctx), void *ctx);
/* Commits what was handed over, then stops the writer. */
void acceptor_free(struct acceptor **acceptor);

/* No mail shall be taken for now (pressure.h), or again. */
void acceptor_set_full(struct acceptor *a, bool is_full);
/* FB_OK, or FB_NO_SPACE above the mark. */
enum fb_status acceptor_may_accept(const struct acceptor *a);
/* Messages handed over; at zero neither done nor on_batch is running or will be called. */
size_t acceptor_under_way(const struct acceptor *a);

/* Makes id and trace.  FB_NO_SPACE, FB_IO. */
FB_MUST_USE enum fb_status accept_open(struct acceptor *a, struct acceptance **m_r,
                                       struct fb_error *err);
FB_MUST_USE enum fb_status accept_add(struct acceptance *m, const void *ptr, size_t len);
void accept_abort(struct acceptance **m);
/* Takes *m and what the envelope owns; fills received_ms and trace.  A trace that is there already is
 * that of whoever hands the message in, and is gone on with. */
void accept_commit(struct acceptance **m, struct fb_envelope *envelope, accept_done_fn *done,
                   void *ctx);

#endif
