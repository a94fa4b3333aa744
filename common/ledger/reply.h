/* SPDX-License-Identifier: Apache-2.0
 *
 * That a reply from the portal goes out once, however often its form is sent:
 *   fb:{sN}:pl:reply:<reply id>   "busy" while somebody sends it, "done" behind that; with a time to live
 * The shard is the message's.  A loss of Redis forgets it; then the mails have the same Message-ID. */
#ifndef FB_COMMON_LEDGER_REPLY_H
#define FB_COMMON_LEDGER_REPLY_H

#include "common/redis.h"

enum fb_reply_state {
    FB_REPLY_NEW,  /* nobody sends it (claim: the caller does now) */
    FB_REPLY_BUSY, /* somebody is sending it */
    FB_REPLY_DONE  /* it was sent */
};

/* Whoever gets FB_REPLY_NEW sends it and calls settle; who dies first holds it for three minutes.
 * FB_INVALID: no id. */
FB_MUST_USE enum fb_status fb_ledger_reply_claim(struct fb_redis *r, int shard, const char *id,
                                                 enum fb_reply_state *state_r,
                                                 struct fb_error *err);
/* is_sent: it is done, for two hours (a form lives for one).  Else the same form may be sent again. */
FB_MUST_USE enum fb_status fb_ledger_reply_settle(struct fb_redis *r, int shard, const char *id,
                                                  bool is_sent, struct fb_error *err);
/* Changes nothing. */
FB_MUST_USE enum fb_status fb_ledger_reply_state(struct fb_redis *r, int shard, const char *id,
                                                 enum fb_reply_state *state_r,
                                                 struct fb_error *err);

#endif
