/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako-ingest: takes mail by SMTP, LMTP and HTTP, commits it to the spool, answers, enqueues.
 *
 *   smtp_server.c   listeners, limits, the loop       smtp_session.c   the dialogue
 *   smtp_conn.c     one connection                    smtp_verbs.c     its commands
 *   http.c          POST /v1/messages                 smtp_command.c   their arguments
 *   accept.c        one message: id, spool, answer    smtp_data.c      the content's bytes
 *   enqueue.c       telling Redis, behind the answer, and finding what it does not know
 *   ingest.c        start and end of all these
 */
#include "common/confine.h"
#include "common/service.h"
#include "ingest.h"

static const struct fb_counters counters[] = {
    {"fumibako_messages_rejected_total",
     {{"reason", "bare|line|size|loop|pipelining|no_space|again|io"}}},
    {"fumibako_connections_refused_total", {{"code", "421|554"}}},
    {"fumibako_messages_enqueued_total", {{NULL, NULL}}},
    {"fumibako_sweep_requeued_total", {{NULL, NULL}}},
    {NULL, {{NULL, NULL}}}};

int main(int argc, char **argv)
{
    static const struct fb_service service = {
        .name = "ingest",
        .metrics_port = 9101,
        .uses = FB_USES_SPOOL | FB_USES_SMTP_SERVER,
        .counters = counters,
        .check = ingest_check,
        .init = ingest_init,
        .run = ingest_run,
        .deinit = ingest_deinit,
    };
    return fb_service_main(&service, argc, argv);
}
