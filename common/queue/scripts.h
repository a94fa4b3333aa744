/* SPDX-License-Identifier: Apache-2.0
 *
 * The Lua scripts of queue and ledger.  Inside common/queue and common/ledger only.
 */
#ifndef FB_COMMON_QUEUE_SCRIPTS_H
#define FB_COMMON_QUEUE_SCRIPTS_H

#include "common/redis.h"

enum fb_script_id {
    FB_SCRIPT_ENQUEUE,
    FB_SCRIPT_ADD,
    FB_SCRIPT_CHECK,
    FB_SCRIPT_ADVANCE,
    FB_SCRIPT_FINISH,
    FB_SCRIPT_RESTART,
    FB_SCRIPT_RETRY,
    FB_SCRIPT_BURY,
    FB_SCRIPT_RELEASE,
    FB_SCRIPT_TAKE,
    FB_SCRIPT_WAITING,
    FB_SCRIPT_TOUCH,
    FB_SCRIPT_LOCK,
    FB_SCRIPT_PROMOTE,
    FB_SCRIPT_REAP,
    FB_SCRIPT_HISTORY,
    FB_SCRIPT_FORGET,
    FB_SCRIPT_SWEEP,
    FB_SCRIPT_STATS,
    FB_SCRIPT_DEAD_TAKE,
    FB_SCRIPT_CLAIM_SENDING,
    FB_SCRIPT_RECALL,
    FB_SCRIPT_COUNT
};

/* The script, with its SHA-1 (made once a process; any thread). */
const struct fb_script *fb_script_get(enum fb_script_id id);

/* What a script answers: the integer itself, or the first of an array. */
enum fb_script_code {
    FB_SCRIPT_OK = 0,
    FB_SCRIPT_EXISTS = 1,
    FB_SCRIPT_LOST = 2,
    FB_SCRIPT_NOT_FOUND = 3,
    FB_SCRIPT_AGAIN = 4,
    FB_SCRIPT_WORN = 5, /* restarted too often */
};

#endif
