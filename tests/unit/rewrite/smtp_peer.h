/* SPDX-License-Identifier: Apache-2.0
 *
 * An SMTP server that follows a script, on a thread: for faults that no real server shows on
 * demand.  One string a connection, steps separated by '|':
 *
 *   >TEXT   say TEXT, CRLF behind it; ~ within stands for CRLF
 *   <TEXT   read a line that begins with TEXT
 *   *       read content up to the final dot
 *   =BYTES  say BYTES as they are
 *   ?MS     wait
 *   !       reset the connection (RST); the end of the script closes it
 *   ...     say nothing more and wait until the client has gone
 */
#ifndef FB_TESTS_UNIT_REWRITE_SMTP_PEER_H
#define FB_TESTS_UNIT_REWRITE_SMTP_PEER_H

#include <pthread.h>
#include <stdint.h>

#include "common/buf.h"

#define PEER_CONNECTIONS 4

struct smtp_peer {
    const char *scripts[PEER_CONNECTIONS + 1];
    int listener;
    uint16_t port;
    pthread_t thread;
    struct fb_buf seen; /* all that was received */
    int connections;
    char failure[300]; /* what did not follow the script; "" = none */
};

/* Listens and serves the scripts (NULL ends them), one connection each, in order. */
void smtp_peer_start(struct smtp_peer *p, const char *const *scripts);
/* Waits for the last script's end, which must come by itself; frees. */
void smtp_peer_stop(struct smtp_peer *p);

#endif
