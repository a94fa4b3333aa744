/* SPDX-License-Identifier: Apache-2.0 */
#include "services/console/helper.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/exchange.h"
#include "common/run.h"

#define RUN_MS      40000
#define ANSWER_MS   48000 /* the run, its end, and the way */
#define TURN_MS     5000
#define MAX_ANSWER  (16U << 20) /* a logo in each of 14 mails */
#define MAX_TEXT    (64U << 10) /* of all addresses */
#define MAX_PART    (80U << 20) /* of a mail */
#define ARGS_BEFORE 12

enum kind { EXPLAIN = 1, DOCTOR = 2, PREVIEW = 3 };

/* What goes over the socket, followed by the parts.  EXPLAIN: sender, recipients (each with its NUL), document, mail;
 * PREVIEW: kind, language, document, rule, "" for those that were not given. */
struct question_head {
    uint32_t kind;
    uint32_t is_ja; /* EXPLAIN, DOCTOR */
    uint32_t len[4];
};
struct answer_head {
    uint32_t status; /* enum fb_status */
    int32_t exit_code;
    uint32_t len; /* of the output, or of the error's text */
};

static int channel = -1; /* to the helper */
static pid_t helper_pid = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- the helper ---- */

static enum fb_status run_explain(char *const parts[4], const uint32_t *len, bool is_ja,
                                  struct fb_buf *out, int *exit_r, struct fb_error *err)
{
    int fds[2] = {-1, -1};
    char paths[2][32] = {"", ""};
    const char *argv[ARGS_BEFORE + 2 * HELPER_MAX_TO] = {
        "fumibako-render", "--explain", "--from", parts[0], "--language", is_ja ? "ja" : "en"};
    size_t n = 6;
    for (uint32_t at = 0; at < len[1] && n < ARGS_BEFORE + 2 * HELPER_MAX_TO - 7;
         at += (uint32_t)strlen(parts[1] + at) + 1) {
        argv[n++] = "--to";
        argv[n++] = parts[1] + at;
    }
    enum fb_status s = fb_run_file(fb_slice_of(parts[2], len[2]), &fds[0], paths[0], err);
    if (s == FB_OK) {
        s = fb_run_file(fb_slice_of(parts[3], len[3]), &fds[1], paths[1], err);
    }
    const char *config = getenv("FUMIBAKO_CONFIG"); /* set by fb_service_main for programs we run */
    if (config != NULL) {
        argv[n++] = "--config";
        argv[n++] = config;
    }
    argv[n++] = "--";
    argv[n++] = paths[0];
    argv[n++] = paths[1];
    argv[n] = NULL;
    if (s == FB_OK) {
        s = fb_run_with((char *const *)(uintptr_t)argv, fds, 2, RUN_MS, out, exit_r, err);
    }
    for (size_t i = 0; i < 2; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    return s;
}

static enum fb_status run_preview(char *const parts[4], const uint32_t *len, struct fb_buf *out,
                                  int *exit_r, struct fb_error *err)
{
    int fd = -1;
    char path[32] = "";
    const struct {
        const char *option, *value;
    } options[] = {{"--kind", parts[0]}, {"--language", parts[1]}, {"--rule", parts[3]}};
    const char *argv[ARGS_BEFORE + 2] = {"fumibako-rewrite", "--preview"};
    size_t n = 2;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (options[i].value[0] != '\0') {
            argv[n++] = options[i].option;
            argv[n++] = options[i].value;
        }
    }
    enum fb_status s = fb_run_file(fb_slice_of(parts[2], len[2]), &fd, path, err);
    argv[n++] = path;
    argv[n] = NULL;
    if (s == FB_OK) {
        s = fb_run_with((char *const *)(uintptr_t)argv, &fd, 1, RUN_MS, out, exit_r, err);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return s;
}

static enum fb_status run_doctor(bool is_ja, struct fb_buf *out, int *exit_r, struct fb_error *err)
{
    const char *const argv[] = {"fumibako",          "--json", "doctor", "--language",
                                is_ja ? "ja" : "en", NULL};
    return fb_run_with((char *const *)(uintptr_t)argv, NULL, 0, RUN_MS, out, exit_r, err);
}

static bool is_possible(const struct question_head *q)
{
    bool is_small = q->len[0] <= MAX_TEXT && q->len[1] <= MAX_TEXT && q->len[2] <= MAX_PART &&
                    q->len[3] <= MAX_PART;
    return is_small && q->kind >= EXPLAIN && q->kind <= PREVIEW;
}

static enum fb_status run(const struct question_head *q, char *const parts[4], struct fb_buf *out,
                          int *exit_r, struct fb_error *err)
{
    switch (q->kind) {
    case EXPLAIN:
        return run_explain(parts, q->len, q->is_ja != 0, out, exit_r, err);
    case PREVIEW:
        return run_preview(parts, q->len, out, exit_r, err);
    default:
        return run_doctor(q->is_ja != 0, out, exit_r, err);
    }
}

static bool receive_parts(int fd, const struct question_head *q, char *parts[4])
{
    for (size_t i = 0; i < 4; i++) {
        parts[i] = fb_alloc_bounded((size_t)q->len[i] + 1, (size_t)MAX_PART + 1);
        if (parts[i] == NULL ||
            fb_exchange_receive(fd, parts[i], q->len[i], fb_mono_ms() + ANSWER_MS) != FB_OK) {
            return false;
        }
        parts[i][q->len[i]] = '\0';
    }
    return true;
}

static bool send_answer(int fd, enum fb_status s, int exit_code, const struct fb_buf *out,
                        const struct fb_error *err)
{
    struct fb_slice text = s == FB_OK ? fb_slice_buf(out) : fb_slice_str(err->text);
    const struct answer_head head = {
        .status = (uint32_t)s, .exit_code = exit_code, .len = (uint32_t)text.len};
    int64_t until = fb_mono_ms() + ANSWER_MS;
    return fb_exchange_send(fd, &head, sizeof head, until) == FB_OK &&
           fb_exchange_send(fd, text.ptr, text.len, until) == FB_OK;
}

/* One question; false: the console has ended, or does not keep to what was agreed. */
static bool serve_one(int fd)
{
    struct question_head q;
    struct fb_error err = {0};
    struct fb_buf out;
    char *parts[4] = {NULL};
    int exit_code = 0;
    enum fb_status s = FB_BUG;
    if (fb_exchange_receive(fd, &q, sizeof q, INT64_MAX) != FB_OK || !is_possible(&q)) {
        return false;
    }
    fb_buf_init(&out, MAX_ANSWER);
    bool is_good = receive_parts(fd, &q, parts);
    if (is_good) {
        s = run(&q, parts, &out, &exit_code, &err);
        is_good = send_answer(fd, s, exit_code, &out, &err);
    }
    for (size_t i = 0; i < 4; i++) {
        free(parts[i]);
    }
    fb_buf_deinit(&out);
    return is_good;
}

_Noreturn static void serve(int fd, const struct fb_config *config, pid_t parent)
{
    static const char *const nothing[] = {NULL};
    (void)prctl(PR_SET_NAME, "console-helper");
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGINT, SIG_IGN); /* the console says when to end */
    (void)signal(SIGTERM, SIG_IGN);
    fb_config_forget(config, nothing);
    while (getppid() == parent && serve_one(fd)) {
        /* the next one */
    }
    _exit(0);
}

/* ---- the console ---- */

enum fb_status helper_start(const struct fb_config *config, struct fb_error *err)
{
    int pair[2];
    pid_t parent = getpid();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return fb_error_errno(err, FB_IO, errno, "socketpair");
    }
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(pair[0]);
        serve(pair[1], config, parent);
    }
    int saved = errno;
    (void)close(pair[1]);
    if (pid < 0) {
        (void)close(pair[0]);
        return fb_error_errno(err, FB_IO, saved, "fork");
    }
    channel = pair[0];
    helper_pid = pid;
    return FB_OK;
}

static void close_channel(void)
{
    if (channel >= 0) {
        (void)close(channel);
        channel = -1;
    }
}

void helper_stop(void)
{
    close_channel();
    if (helper_pid > 0) {
        (void)kill(helper_pid, SIGKILL);
        (void)waitpid(helper_pid, NULL, 0);
        helper_pid = -1;
    }
}

static enum fb_status take_answer(json_t **answer_r, int *exit_r, int64_t until,
                                  struct fb_error *err)
{
    struct answer_head head;
    if (fb_exchange_receive(channel, &head, sizeof head, until) != FB_OK || head.len > MAX_ANSWER ||
        head.status >= FB_STATUS_COUNT) {
        return fb_error_set(err, FB_NETWORK, "the console's helper does not answer");
    }
    char *text = fb_xcalloc(1, (size_t)head.len + 1);
    enum fb_status s = (enum fb_status)head.status;
    if (fb_exchange_receive(channel, text, head.len, until) != FB_OK) {
        s = fb_error_set(err, FB_NETWORK, "the console's helper does not answer");
    } else if (s != FB_OK) {
        (void)fb_error_set(err, s, "%s", text);
    } else {
        *exit_r = head.exit_code;
        *answer_r = json_loadb(text, head.len, 0, NULL);
        s = *answer_r != NULL ? FB_OK
                              : fb_error_set(err, FB_CRASHED, "ended with %d and without an answer",
                                             head.exit_code);
    }
    free(text);
    return s;
}

static enum fb_status ask(const struct question_head *head, const struct fb_slice parts[4],
                          json_t **answer_r, int *exit_r, struct fb_error *err)
{
    struct timespec turn;
    (void)clock_gettime(CLOCK_REALTIME, &turn);
    turn.tv_sec += TURN_MS / 1000;
    if (pthread_mutex_timedlock(&lock, &turn) != 0) {
        return fb_error_set(err, FB_AGAIN, "others are being served");
    }
    int64_t until = fb_mono_ms() + ANSWER_MS;
    bool is_sent = channel >= 0 && fb_exchange_send(channel, head, sizeof *head, until) == FB_OK;
    for (size_t i = 0; i < 4 && is_sent; i++) {
        is_sent = fb_exchange_send(channel, parts[i].ptr, parts[i].len, until) == FB_OK;
    }
    enum fb_status s = is_sent ? take_answer(answer_r, exit_r, until, err)
                               : fb_error_set(err, FB_NETWORK, "the console's helper has ended");
    if (s == FB_NETWORK) {
        close_channel(); /* an answer that comes later must not be taken for the next one */
    }
    (void)pthread_mutex_unlock(&lock);
    return s;
}

enum fb_status helper_explain(const struct helper_question *q, json_t **answer_r, int *exit_r,
                              struct fb_error *err)
{
    struct fb_buf to;
    enum fb_status s = FB_OK;
    fb_buf_init(&to, MAX_TEXT);
    for (size_t i = 0; i < q->to_count && s == FB_OK; i++) {
        s = fb_buf_add(&to, q->to[i], strlen(q->to[i]) + 1);
    }
    const struct fb_slice parts[4] = {fb_slice_str(q->from), fb_slice_buf(&to), q->document,
                                      q->mail};
    struct question_head head = {.kind = EXPLAIN, .is_ja = q->is_ja ? 1 : 0};
    for (size_t i = 0; i < 4; i++) {
        head.len[i] = (uint32_t)parts[i].len;
    }
    s = s == FB_OK && is_possible(&head)
            ? ask(&head, parts, answer_r, exit_r, err)
            : fb_error_set(err, FB_TOO_BIG, "the mail or its addresses are too large");
    fb_buf_deinit(&to);
    return s;
}

enum fb_status helper_preview(const struct helper_preview *q, json_t **answer_r, int *exit_r,
                              struct fb_error *err)
{
    const struct fb_slice parts[4] = {fb_slice_str(q->kind), fb_slice_str(q->language), q->document,
                                      fb_slice_str(q->rule)};
    struct question_head head = {.kind = PREVIEW};
    for (size_t i = 0; i < 4; i++) {
        head.len[i] = (uint32_t)parts[i].len;
    }
    return is_possible(&head) ? ask(&head, parts, answer_r, exit_r, err)
                              : fb_error_set(err, FB_TOO_BIG, "the policy is too large");
}

enum fb_status helper_doctor(bool is_ja, json_t **answer_r, int *exit_r, struct fb_error *err)
{
    const struct question_head head = {.kind = DOCTOR, .is_ja = is_ja ? 1 : 0};
    const struct fb_slice parts[4] = {{NULL, 0}};
    return ask(&head, parts, answer_r, exit_r, err);
}
