/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits that more than one program must agree on, each with its reason.
 */
#ifndef FB_PROTO_LIMITS_H
#define FB_PROTO_LIMITS_H

#define FB_MAX_RECIPIENTS                                                                          \
    10000                     /* upper bound of ingest.max_recipients; a plan must stay readable */
#define FB_MAX_ADDRESS   1024 /* RFC 5321 4.5.3.1: 64 + 1 + 255 octets; UTF-8 and quoting on top */
#define FB_MAX_PARTS     2000 /* more attachments than any reader shows; MIME bombs have 500,000 */
#define FB_MAX_FILE_NAME 255  /* Box's limit in characters; bytes are bounded by 4 times that */
#define FB_MAX_JOB       8192 /* a job holds references only; recall lists up to 1,000 indices */
#define FB_MAX_PLAN      (8U << 20)  /* 10,000 recipients and 2,000 parts fit in 3 MiB */
#define FB_MAX_ENVELOPE  (16U << 20) /* 10,000 recipients with ORCPT */
#define FB_MAX_SUBJECT   4096        /* decoded; longer ones are cut for display */
#define FB_MAX_HEADER_BYTES                                                                        \
    (1U << 20) /* top header block; Postfix's header_size_limit is 100 kB a header */
#define FB_MAX_HEADER_LINES 10000 /* mails in the wild stay below 1,000 */
#define FB_MAX_DEPTH        64    /* nesting of multiparts and messages */
#define FB_MAX_OBJECT                                                                              \
    (256U << 20) /* a derived object: body PDF, unpacked part of a winmail.dat \
                                          */
#define FB_MAX_MANIFEST (16U << 20)

#endif
