/* SPDX-License-Identifier: Apache-2.0
 *
 * All of some bytes over a stream socket, within a time: for what a service and a process that it forked
 * say to each other.
 */
#ifndef FB_COMMON_EXCHANGE_H
#define FB_COMMON_EXCHANGE_H

#include "common/buf.h"

/* Until the monotonic clock says until_ms (INT64_MAX: as long as the other one lives).  FB_NETWORK: the
 * other one is gone; FB_CRASHED: it took too long. */
FB_MUST_USE enum fb_status fb_exchange_send(int fd, const void *ptr, size_t len, int64_t until_ms);
FB_MUST_USE enum fb_status fb_exchange_receive(int fd, void *ptr, size_t len, int64_t until_ms);

#endif
