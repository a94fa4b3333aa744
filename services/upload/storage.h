/* SPDX-License-Identifier: Apache-2.0
 *
 * What Fumibako asks of a storage.  A third one is one new file that fills this table, and one line
 * in
 * storage.c.  Calls are made by several threads, each with its own session; every call comes back
 * in bounded
 * time, and each is idempotent: after a lost reply or a crash the same call is made again and finds
 * what is there.
 */
#ifndef FB_UPLOAD_STORAGE_H
#define FB_UPLOAD_STORAGE_H

#include "common/config.h"
#include "common/policy/policy.h"
#include "common/redis.h"
#include "common/storage_report.h"
#include "proto/plan.h"

/* Decoded bytes of one part, from the start; may be asked to start again (rewind) for a retry. */
struct upload_stream {
    void *ctx;
    uint64_t size;
    uint8_t sha1[20];
    bool is_body; /* the PDF of the mail's text */
    /* Up to len bytes; 0 = end. */
    enum fb_status (*read)(void *ctx, void *out, size_t len, size_t *read_r, struct fb_error *err);
    enum fb_status (*rewind)(void *ctx, struct fb_error *err);
};

struct storage_session; /* one thread's state: connections, tokens */

struct storage_grant_request {
    uint32_t recipient;
    const char *address;
};

/* For good: the link goes too.  For now: it may be given back, so the link stays and opens nothing by
 * itself. */
enum storage_end { STORAGE_FOR_GOOD, STORAGE_FOR_NOW };

/* What happened to an item of ours, as the storage tells it. */
enum storage_event_kind {
    STORAGE_EVENT_OTHER,
    STORAGE_EVENT_PREVIEW,
    STORAGE_EVENT_DOWNLOAD,
    STORAGE_EVENT_ACCEPTED, /* an invitation */
    STORAGE_EVENT_SHARED    /* somebody made or changed a link of the item */
};
struct storage_event {
    enum storage_event_kind kind;
    char id[65];        /* hex digest of the storage's own id */
    char item_id[32];   /* "" when the storage does not say */
    char folder_id[32]; /* the item itself when it is a folder, else the folder it lies in */
    bool is_folder;
    bool is_own;       /* done by an account of ours */
    char actor_id[32]; /* "" unknown */
    char actor[256];   /* login, "anonymous", or words */
    int64_t at_ms;     /* 0: not said */
};
struct storage_events {
    struct storage_event *items;
    size_t count;
    char position[256]; /* of the next page, as the storage writes it */
    bool is_end;        /* nothing follows for now */
    bool has_gap;       /* an access was told without what it was to */
};
void storage_events_deinit(struct storage_events *page);
/* What the storage says of one grant. */
struct storage_grant_state {
    bool is_gone, is_pending;
    char user_id[32], login[256]; /* "" while nobody accepted */
    char two_step[8];             /* "on", "off", "" = it does not say */
};

struct storage {
    const char *type; /* "box", "vault" */
    enum fb_status (*open)(const struct fb_policy_storage *storage, const struct fb_config *config,
                           struct fb_redis *redis, struct storage_session **session_r,
                           struct fb_error *err);
    void (*close)(struct storage_session *session);
    /* Finds or makes the parcel's folder `m-<parcel_id>` below path, restricted before anything is
     * in it.  Fills
     * storage, user, folder_id of *parcel (user: which pool user owns it; kept when already set).
     * */
    enum fb_status (*create)(struct storage_session *session, const char *parcel_id,
                             const char *path, struct fb_parcel *parcel, struct fb_error *err);
    /* Puts one file (adopts an equal one that is there); fills file_id. name is safe for the
     * storage. */
    enum fb_status (*put)(struct storage_session *session, const struct fb_parcel *parcel,
                          const char *name, const char *type, struct upload_stream *stream,
                          struct fb_parcel_file *file_r, struct fb_error *err);
    /* Opens the parcel as the security definition says; fills grants, link, password, access,
     * can_download. */
    enum fb_status (*share)(struct storage_session *session,
                            const struct fb_policy_security *security,
                            const struct storage_grant_request *requests, size_t count,
                            struct fb_parcel *parcel, struct fb_error *err);
    /* Takes access away: the grants of these recipients (none = all, whoever else was let in, and
     * what the link opens).  One that cannot be closed does not keep the others open: the error
     * tells of a failure, closed_r (may be NULL; one for each grant of the parcel) which grants the
     * storage confirmed as gone.  A grant that the parcel has as "recalled" counts as gone. */
    enum fb_status (*revoke)(struct storage_session *session, const struct fb_parcel *parcel,
                             const uint32_t *recipients, size_t count, enum storage_end end,
                             bool *closed_r, struct fb_error *err);
    /* Gives access back to these recipients, as the parcel had it: their grants in *parcel get
     * state and id anew (also where another one failed).  Needs the link that was left by a revoke
     * for now: FB_DENIED with words, and nothing open, when the storage would make another one.
     * With access by link, everybody is meant. */
    enum fb_status (*reopen)(struct storage_session *session,
                             const struct storage_grant_request *requests, size_t count,
                             struct fb_parcel *parcel, struct fb_error *err);
    /* Deletes the content (to trash and out of it where allowed). FB_DENIED with words when
     * retention forbids. */
    enum fb_status (*purge)(struct storage_session *session, const struct fb_parcel *parcel,
                            struct fb_error *err);
    /* One page of what happened, from a position ("0": from the oldest that is kept; "now").  user
     * "" is the storage's own account.  May be NULL: the storage tells nothing. */
    enum fb_status (*events)(struct storage_session *session, const char *user,
                             const char *position, struct storage_events *page_r,
                             struct fb_error *err);
    /* One grant as it is now; with events. */
    enum fb_status (*grant_state)(struct storage_session *session, const char *user,
                                  const char *grant_id, struct storage_grant_state *state_r,
                                  struct fb_error *err);
    /* Ends a link that somebody else made or widened: a file of a parcel has none, the parcel's
     * folder has what `access` says. was_open_r: it had to be ended or narrowed.  With events. */
    enum fb_status (*close_link)(struct storage_session *session, const char *user,
                                 const char *item_id, bool is_folder, const char *access,
                                 bool *was_open_r, struct fb_error *err);
    /* Tries it: adds steps and what is used and free to *report.  writes: also what leaves something there for a
     * moment.  A failure is a step that says so, and ends it. */
    void (*check)(struct storage_session *session, bool writes, struct fb_storage_report *report);
    /* A file name as this storage takes it, unique among `taken`. */
    enum fb_status (*safe_name)(const char *name, char *const *taken, size_t taken_count,
                                struct fb_buf *out);
};

const struct storage *storage_find(enum fb_storage_type type);

#endif
