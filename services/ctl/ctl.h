/* SPDX-License-Identifier: Apache-2.0
 *
 * What the subcommands of `fumibako` share: configuration, connections on demand, options, output
 * as text or JSON.
 */
#ifndef FB_CTL_CTL_H
#define FB_CTL_CTL_H

#include <jansson.h>
#include <stdbool.h>

#include "common/accounts/audit_what.h"
#include "common/config.h"
#include "common/json_words.h"
#include "common/ledger/evidence.h"
#include "common/redis.h"
#include "common/service.h"
#include "common/spool/spool.h"

#define CTL_MAX_RECIPIENTS   1000
#define CTL_REDIS_TIMEOUT_MS 10000
#define CTL_MAX_OPTIONS      48
#define CTL_COMMON_OPTIONS   2 /* the first ones: taken by every command */
/* What is wrong with a time. */
#define CTL_TIMES "--since and --until take 2026-11-25, 2026-11-25T10:15:00, or 2h, 3d (ago)"

struct ctl_list {
    const char *items[CTL_MAX_RECIPIENTS];
    size_t count;
};

struct ctl {
    const char *config_path;
    struct fb_config *config;
    struct fb_redis *redis;
    struct fb_spool *spool;
    bool is_json;
    /* options of subcommands; NULL or 0 when not given */
    const char *from, *state, *sender, *subject, *since, *until, *after, *comment, *reason;
    const char *language, *storage, *parcel, *user, *action, *object, *file, *format, *range, *role;
    const char *kind, *rule;
    const char *expected; /* version of the policy that was edited */
    struct ctl_list to, recipients;
    int64_t limit, mails, days;
    bool takes_content, is_pending, is_preview, repairs_orphans;
    uint64_t given; /* a bit for each of ctl_options */
    /* positional words behind the subcommand */
    char **words;
    int word_count;
};

struct ctl_command {
    const char *group, *name; /* "policy", "check"; name "" for a command without subcommands */
    const char *arguments, *help;
    int least, most; /* positional words */
    int (*run)(struct ctl *c);
};

/* All of them, ended by an entry without a group. */
extern const struct ctl_command ctl_commands[];

enum ctl_option_kind { CTL_OPTION_TEXT, CTL_OPTION_FLAG, CTL_OPTION_NUMBER, CTL_OPTION_LIST };
struct ctl_option {
    const char *name;
    enum ctl_option_kind kind;
    size_t offset; /* in struct ctl */
};
/* Ended by one without a name. */
extern const struct ctl_option ctl_options[];
extern const size_t ctl_option_count;
bool ctl_was_given(const struct ctl *c, const char *option);
/* Whether the command's arguments name the option. */
bool ctl_command_takes(const struct ctl_command *k, const char *option);

/* Connections; on failure the reason is printed and false comes back (the command returns
 * FB_EXIT_FAILED). */
bool ctl_need_config(struct ctl *c, int *exit_r);
bool ctl_need_redis(struct ctl *c, int *exit_r);
bool ctl_need_spool(struct ctl *c, int *exit_r);
/* The same with the message that the first word names; free it with fb_ledger_message_deinit. */
bool ctl_need_message(struct ctl *c, struct fb_ledger_message *m_r, int *exit_r);

/* "fumibako: <text>" on stderr, or {"error": ...} on stdout with --json. Returns FB_EXIT_FAILED, or
 * FB_EXIT_CONFIG for FB_CONFIG (a setting or credential is wrong). */
int ctl_fail(const struct ctl *c, const struct fb_error *err);
/* The same for a command line that cannot be; returns FB_EXIT_USAGE. */
int ctl_usage_error(const struct ctl *c, const char *text);
/* The configuration that is read without --config, or NULL when there is none: $FUMIBAKO_CONFIG,
 * else the file in /etc. */
const char *ctl_config_path(void);
/* The document of the policy in force (needs the configuration); not to be freed on failure.
 * FB_NOT_FOUND: there is none. */
FB_MUST_USE enum fb_status ctl_policy_read(struct ctl *c, struct fb_buf *document,
                                           struct fb_error *err);
/* The same with everything it needs; false: the reason was printed. */
bool ctl_policy_in_force(struct ctl *c, struct fb_buf *document, int *exit_r);
/* "ja" or "en": --language, else LC_ALL, LC_MESSAGES or LANG. */
const char *ctl_language(const struct ctl *c);
bool ctl_is_ja(const struct ctl *c);
/* Text that a mail brought: control characters do not reach the terminal. */
void ctl_print_clean(const char *text);
/* Prints and frees. */
void ctl_print_json(json_t *value);
/* Asks another program of ours about a policy, that of file, or (NULL) the one in force, and tells what it answers in
 * JSON, an object with "error" and perhaps "findings" where it failed: as JSON, else by print, or its faults on stderr,
 * those of a policy with the file's name.  ask runs it; fd (-1: none) is the policy in force, at path.  Returns the
 * exit code. */
int ctl_ask(struct ctl *c, const char *program, const char *file,
            enum fb_status (*ask)(const struct ctl *c, const char *path, int fd, struct fb_buf *out,
                                  int *exit_r, struct fb_error *err),
            void (*print)(const json_t *answer));
/* "2026-11-25 10:15:00" in local time; "-" for 0. */
void ctl_time(int64_t ms, char out[32]);
/* Dates of --since and --until: "2026-11-25", "2026-11-25T10:15:00" (of here; "...Z": UTC), or "2h",
 * "3d" ago. */
bool ctl_parse_time(const char *text, int64_t *ms_r);
json_t *ctl_json_time(int64_t ms);  /* RFC 3339, or null */
json_t *ctl_local_time(int64_t ms); /* as ctl_time writes it */

/* Who runs this: the user, or for root who called sudo. */
const char *ctl_author(void);
/* Writes a line of the audit, with who runs this; before and after are borrowed (NULL = null).  What cannot be undone
 * is written down before it is done. */
FB_MUST_USE enum fb_status ctl_audit(struct ctl *c, const char *action, const char *object,
                                     json_t *before, json_t *after, struct fb_error *err);
/* The same; ends w. */
FB_MUST_USE enum fb_status ctl_audit_what(struct ctl *c, const char *action,
                                          struct fb_audit_what *w, struct fb_error *err);
/* The subject of a message for fb_title_open's key, or "": not known.  out has FB_TITLE_SUBJECT bytes. */
void ctl_subject(const struct ctl *c, const struct fb_ledger_message *m, char *out);
/* Whether --language, where it is given, is one of ours; else says so. */
bool ctl_language_ok(const struct ctl *c, int *exit_r);

/* What is known of one recipient, in words; language NULL = English. */
void ctl_print_evidence(const struct fb_evidence *e, const char *language, const char *indent);

int ctl_policy_check(struct ctl *c);
int ctl_policy_show(struct ctl *c);
int ctl_policy_apply(struct ctl *c);
int ctl_policy_history(struct ctl *c);
int ctl_policy_rollback(struct ctl *c);
int ctl_policy_diff(struct ctl *c);
int ctl_overview(struct ctl *c);
int ctl_policy_test(struct ctl *c);
int ctl_policy_dry_run(struct ctl *c);
int ctl_policy_hits(struct ctl *c);
int ctl_notices_preview(struct ctl *c);
int ctl_storages_list(struct ctl *c);
int ctl_storages_test(struct ctl *c);
int ctl_message_list(struct ctl *c);
int ctl_message_show(struct ctl *c);
int ctl_message_recall(struct ctl *c);
int ctl_message_restore(struct ctl *c);
int ctl_message_report(struct ctl *c);
int ctl_queue(struct ctl *c);
int ctl_system(struct ctl *c);
int ctl_audit_list(struct ctl *c);
int ctl_audit_export(struct ctl *c);
int ctl_dead_list(struct ctl *c);
int ctl_dead_show(struct ctl *c);
int ctl_dead_retry(struct ctl *c);
int ctl_dead_release(struct ctl *c);
int ctl_dead_reject(struct ctl *c);
int ctl_spool_list(struct ctl *c);
int ctl_spool_replay(struct ctl *c);
int ctl_ledger_rebuild(struct ctl *c);
int ctl_vault_verify(struct ctl *c);
int ctl_doctor(struct ctl *c);
int ctl_reader_forget(struct ctl *c);
int ctl_user_add(struct ctl *c);
int ctl_user_list(struct ctl *c);
int ctl_user_passwd(struct ctl *c);
int ctl_user_role(struct ctl *c);
int ctl_user_unlock(struct ctl *c);
int ctl_user_reset(struct ctl *c);
int ctl_user_remove(struct ctl *c);
int ctl_user_show(struct ctl *c);
int ctl_user_on(struct ctl *c);
int ctl_user_off(struct ctl *c);
int ctl_user_signout(struct ctl *c);
int ctl_user_token(struct ctl *c);
int ctl_user_revoke(struct ctl *c);
int ctl_completion(struct ctl *c);
int ctl_submit(struct ctl *c);

#endif
