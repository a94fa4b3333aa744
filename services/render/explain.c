/* SPDX-License-Identifier: Apache-2.0
 *
 * The unsandboxed half of --explain: options, files, the conversation with the child, JSON.  As
 * with a real rendering not one word of the child is trusted: numbers are checked, texts are
 * bounded by their frame, and JSON is made here. */
#include "services/render/explain.h"

#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/json_words.h"
#include "common/log.h"
#include "common/policy/policy.h"
#include "common/service.h"
#include "proto/limits.h"
#include "services/render/child.h"
#include "services/render/explain_answer.h"
#include "services/render/rpc.h"
#include "services/render/verify.h"

#define MAX_MAIL       (1024U << 20)
#define ANSWER_WAIT_MS 10000
#define REDIS_WAIT_MS  5000
#define BYTES_PER_MS   (20U << 10)

struct explain {
    const char *policy_path, *mail_path, *config_path, *from;
    bool is_ja; /* the language of findings and reasons */
    char *to[RENDER_EXPLAIN_MAX_RECIPIENTS];
    size_t to_count;
    struct fb_config *config; /* NULL: defaults, and no signature is ours */
    struct fb_redis *redis;
    struct fb_policy *policy;
    struct fb_buf document, mail, envelope_bytes;
    struct fb_envelope envelope;
    struct fb_zygote *zygote;
    struct fb_child child;
    int64_t deadline_ms;
    struct fb_buf in;
    json_t *answer;
};

/* ---- what goes in ---- */

/* As ingest does: a line ends with CRLF, whatever it ended with in the file. */
static enum fb_status read_mail(struct explain *x, struct fb_error *err)
{
    struct fb_buf raw = {0};
    enum fb_status s = fb_read_file(x->mail_path, MAX_MAIL, &raw, err);
    if (s != FB_OK) {
        return s;
    }
    fb_buf_init(&x->mail, (size_t)MAX_MAIL * 2);
    s = fb_buf_reserve(&x->mail, raw.len + raw.len / 32);
    for (size_t i = 0; i < raw.len && s == FB_OK;) {
        const uint8_t *at = raw.ptr + i;
        const uint8_t *lf = memchr(at, '\n', raw.len - i);
        size_t n = lf != NULL ? (size_t)(lf - at) : raw.len - i;
        bool has_cr = n > 0 && at[n - 1] == '\r';
        s = fb_buf_add(&x->mail, at, lf != NULL && has_cr ? n - 1 : n);
        if (s == FB_OK && lf != NULL) {
            s = fb_buf_add(&x->mail, "\r\n", 2);
        }
        i += n + (lf != NULL);
    }
    fb_buf_deinit(&raw);
    if (s != FB_OK) {
        return fb_error_set(err, s, "%s: the mail is too large", x->mail_path);
    }
    return x->mail.len > 0 ? FB_OK
                           : fb_error_set(err, FB_INVALID, "%s: the mail is empty", x->mail_path);
}

static enum fb_status read_policy(struct explain *x, struct fb_error *err)
{
    struct fb_policy_findings findings = {0};
    enum fb_status s = fb_read_file(x->policy_path, FB_POLICY_MAX, &x->document, err);
    if (s != FB_OK) {
        return s;
    }
    s = fb_policy_parse_in(fb_slice_buf(&x->document), x->is_ja, &x->policy, &findings);
    if (s != FB_OK) {
        x->answer =
            json_pack("{s:{s:s,s:s},s:o}", "error", "code", fb_status_name(FB_INVALID), "message",
                      "the policy has errors", "findings", fb_json_findings(&findings));
        s = fb_error_set(err, FB_INVALID, "the policy has errors");
    }
    fb_policy_findings_deinit(&findings);
    return s;
}

static enum fb_status make_envelope(struct explain *x, struct fb_error *err)
{
    x->envelope =
        (struct fb_envelope){.reverse_path = fb_xstrdup(x->from),
                             .recipients = fb_xcalloc(x->to_count, sizeof *x->envelope.recipients),
                             .recipient_count = x->to_count,
                             .is_8bit = true,
                             .is_smtputf8 = true,
                             .received_ms = fb_now_ms()};
    for (size_t i = 0; i < x->to_count; i++) {
        x->envelope.recipients[i].address = fb_xstrdup(x->to[i]);
    }
    fb_trace_new(x->envelope.trace);
    fb_buf_init(&x->envelope_bytes, FB_MAX_ENVELOPE);
    enum fb_status s = fb_envelope_encode(&x->envelope, &x->envelope_bytes);
    return s == FB_OK ? FB_OK : fb_error_set(err, s, "sender and recipients are too long");
}

/* ---- the conversation ---- */

static enum fb_status wait_for_frame(const struct explain *x, struct fb_error *err)
{
    for (;;) {
        int64_t left = x->deadline_ms - fb_mono_ms();
        struct pollfd p[2] = {{.fd = x->child.fd, .events = POLLIN},
                              {.fd = x->child.pidfd, .events = POLLIN}};
        if (left <= 0) {
            return fb_error_set(
                err, FB_CRASHED,
                "reading this mail takes longer than render.timeout allows: it would be held");
        }
        int n = poll(p, 2, left > 60000 ? 60000 : (int)left);
        if (n > 0 && (p[0].revents & POLLIN) != 0) {
            return FB_OK;
        }
        if (n > 0) {
            return fb_error_set(
                err, FB_CRASHED,
                "the sandboxed child died (killed, out of memory, or a fault): this mail "
                "would be held");
        }
    }
}

static enum fb_status answer(const struct explain *x, enum render_rpc_type type,
                             struct fb_slice bytes, struct fb_error *err)
{
    if (render_rpc_send(x->child.fd, type, bytes, (struct fb_slice){0}, ANSWER_WAIT_MS) != FB_OK) {
        return fb_error_set(err, FB_CRASHED, "the sandboxed child does not listen any more");
    }
    return FB_OK;
}

static enum fb_status on_read(const struct explain *x, struct fb_slice in, struct fb_error *err)
{
    uint64_t offset = 0;
    uint64_t len = 0;
    if (!render_rpc_take_u64(&in, &offset) || !render_rpc_take_u64(&in, &len) ||
        len > RENDER_RPC_READ) {
        return fb_error_set(err, FB_CRASHED, "the child asked for a range beyond all bounds");
    }
    size_t from = offset < x->mail.len ? (size_t)offset : x->mail.len;
    return answer(x, RENDER_RPC_READ_RANGE, fb_slice_sub(fb_slice_buf(&x->mail), from, (size_t)len),
                  err);
}

static enum fb_status on_verify(const struct explain *x, struct fb_slice in, struct fb_error *err)
{
    struct fb_slice value, hash;
    uint64_t is_ours = 0;
    const struct render_request request = {.envelope = &x->envelope, .redis = x->redis};
    if (x->redis != NULL && x->config->rewrite.key != NULL && render_rpc_take_bytes(&in, &value) &&
        render_rpc_take_bytes(&in, &hash) && hash.len == 32) {
        is_ours = render_verify(x->config->rewrite.key, &request, value, hash.ptr) ? 1 : 0;
    }
    return answer(x, RENDER_RPC_VERIFY, fb_slice_of(&is_ours, sizeof is_ours), err);
}

static enum fb_status on_done(struct explain *x, struct fb_slice in, struct fb_error *err)
{
    const struct render_explain_question question = {.policy = x->policy,
                                                     .from = x->from,
                                                     .to = x->to,
                                                     .to_count = x->to_count,
                                                     .size = x->mail.len,
                                                     .is_ja = x->is_ja};
    x->answer = render_explain_answer(&question, in);
    return x->answer != NULL ? FB_OK
                             : fb_error_set(err, FB_CRASHED, "the child's answer is refused");
}

static enum fb_status dispatch(struct explain *x, uint32_t type, struct fb_slice in,
                               struct fb_error *err)
{
    const struct render_rpc_stored stored = {0};
    switch (type) {
    case RENDER_RPC_READ_RANGE:
        return on_read(x, in, err);
    case RENDER_RPC_BEGIN: /* unpacked files: nothing is kept */
    case RENDER_RPC_COMMIT:
        return answer(x, (enum render_rpc_type)type, fb_slice_of(&stored, sizeof stored), err);
    case RENDER_RPC_DATA:
        return FB_OK;
    case RENDER_RPC_VERIFY:
        return on_verify(x, in, err);
    case RENDER_RPC_DONE:
        return on_done(x, in, err);
    case RENDER_RPC_FAIL:
        return render_rpc_failure(in, err);
    default:
        return fb_error_set(err, FB_CRASHED, "the child said something unknown");
    }
}

static enum fb_status send_start(const struct explain *x, struct fb_error *err)
{
    struct fb_buf b;
    char msg_id[FB_ID_SIZE];
    fb_id_new(msg_id);
    fb_buf_init(&b, FB_MAX_ENVELOPE + (8U << 20));
    enum fb_status s = render_rpc_put_u64(&b, x->mail.len);
    if (s == FB_OK) {
        s = render_rpc_put_u64(&b, (uint64_t)x->envelope.received_ms);
    }
    for (int i = 0; i < 2 && s == FB_OK; i++) { /* nothing is painted */
        s = render_rpc_put_u64(&b, 0);
    }
    const struct fb_slice texts[] = {fb_slice_str(msg_id),
                                     FB_SLICE_LITERAL("A4"),
                                     FB_SLICE_LITERAL("auto"),
                                     fb_slice_str(x->policy->version),
                                     fb_slice_buf(&x->envelope_bytes),
                                     fb_slice_buf(&x->document)};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0] && s == FB_OK; i++) {
        s = render_rpc_put_bytes(&b, texts[i]);
    }
    s = s == FB_OK
            ? answer(x, RENDER_RPC_START, fb_slice_buf(&b), err)
            : fb_error_set(err, s, "envelope and policy are too large to be handed to the sandbox");
    fb_buf_deinit(&b);
    return s;
}

static enum fb_status converse(struct explain *x, struct fb_error *err)
{
    enum fb_status s = fb_zygote_spawn(x->zygote, &x->child, err);
    if (s != FB_OK) {
        return s;
    }
    int64_t timeout = x->config != NULL ? x->config->render.timeout_ms : 20000;
    x->deadline_ms = fb_mono_ms() + timeout + (int64_t)(x->mail.len / BYTES_PER_MS);
    fb_buf_init(&x->in, FB_MAX_PLAN);
    s = send_start(x, err);
    while (s == FB_OK && x->answer == NULL) {
        struct render_rpc_frame frame = {0};
        s = wait_for_frame(x, err);
        if (s == FB_OK &&
            render_rpc_receive(x->child.fd, ANSWER_WAIT_MS, FB_MAX_PLAN, &frame, &x->in) != FB_OK) {
            s = fb_error_set(err, FB_CRASHED, "the sandboxed child died in the middle of a word");
        }
        if (s == FB_OK) {
            s = dispatch(x, frame.type, fb_slice_buf(&x->in), err);
        }
    }
    fb_child_end(&x->child);
    return s;
}

/* ---- the whole ---- */

/* In the zygote: what the sandbox could say to the terminal or into the answer is cut off. */
static void warm(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    bool is_terminal = isatty(STDERR_FILENO) == 1;
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        (is_terminal && dup2(null, STDERR_FILENO) < 0)) {
        _exit(1); /* the first question of the parent finds nobody */
    }
    (void)close(null);
    render_child_warm();
}

static enum fb_status start_zygote(struct explain *x, struct fb_error *err)
{
    const char *user = x->config != NULL ? x->config->render.chromium_user : NULL;
    const struct fb_sandbox sandbox = {
        .memory_bytes = x->config != NULL ? x->config->render.memory : 512LL << 20,
        .cpu_s = 60 + (int64_t)(x->mail.len / (20U << 20)),
        .user = user != NULL ? user : "nobody", /* counts for root only */
    };
    return fb_zygote_start("render-zygote", &sandbox, warm, render_explain_child, &x->zygote, err);
}

static enum fb_status explain(struct explain *x, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    if (x->config_path != NULL) {
        s = fb_config_load(x->config_path, &x->config, err);
    }
    if (s == FB_OK) {
        s = read_policy(x, err);
    }
    if (s == FB_OK) {
        s = read_mail(x, err);
    }
    if (s == FB_OK) {
        s = make_envelope(x, err);
    }
    if (s == FB_OK) {
        s = start_zygote(x, err);
    }
    if (s == FB_OK && x->config != NULL) {
        s = fb_redis_new(x->config, REDIS_WAIT_MS, &x->redis, err); /* connects when it is asked */
    }
    return s == FB_OK ? converse(x, err) : s;
}

static void explain_deinit(struct explain *x)
{
    fb_zygote_stop(&x->zygote);
    fb_redis_free(&x->redis);
    fb_policy_unref(&x->policy);
    fb_envelope_deinit(&x->envelope);
    fb_buf_deinit(&x->envelope_bytes);
    fb_buf_deinit(&x->document);
    fb_buf_deinit(&x->mail);
    fb_buf_deinit(&x->in);
    fb_config_free(&x->config);
    json_decref(x->answer);
    free(x);
}

bool render_explain_is_asked(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "--explain") == 0;
}

static bool take_options(struct explain *x, int argc, char **argv)
{
    enum { OPT_FROM = 1, OPT_TO, OPT_CONFIG, OPT_LANGUAGE };
    static const struct option options[] = {{"from", required_argument, NULL, OPT_FROM},
                                            {"to", required_argument, NULL, OPT_TO},
                                            {"config", required_argument, NULL, OPT_CONFIG},
                                            {"language", required_argument, NULL, OPT_LANGUAGE},
                                            {NULL, 0, NULL, 0}};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == OPT_FROM) {
            x->from = optarg;
        } else if (o == OPT_CONFIG) {
            x->config_path = optarg;
        } else if (o == OPT_LANGUAGE && (strcmp(optarg, "ja") == 0 || strcmp(optarg, "en") == 0)) {
            x->is_ja = optarg[0] == 'j';
        } else if (o == OPT_TO && x->to_count < RENDER_EXPLAIN_MAX_RECIPIENTS) {
            x->to[x->to_count++] = optarg;
        } else {
            return false;
        }
    }
    if (argc - optind != 2 || x->from == NULL || x->to_count == 0) {
        return false;
    }
    x->policy_path = argv[optind];
    x->mail_path = argv[optind + 1];
    return true;
}

int render_explain_main(int argc, char **argv)
{
    struct explain *x = fb_xcalloc(1, sizeof *x);
    struct fb_error err = {0};
    fb_log_init("render", FB_WARN, false);
    (void)signal(SIGPIPE, SIG_IGN);
    if (!take_options(x, argc - 1,
                      argv + 1)) { /* "--explain" stands where the program's name would */
        (void)fprintf(stderr, "usage: fumibako-render --explain POLICY MAIL --from A --to B [--to "
                              "C] [--config FILE] [--language ja|en]\n");
        free(x);
        return FB_EXIT_USAGE;
    }
    enum fb_status s = explain(x, &err);
    if (x->answer == NULL) {
        x->answer =
            json_pack("{s:{s:s,s:s}}", "error", "code", fb_status_name(s), "message", err.text);
    }
    int code = s == FB_OK ? 0 : s == FB_CONFIG ? FB_EXIT_CONFIG : FB_EXIT_FAILED;
    if (x->answer == NULL || json_dumpf(x->answer, stdout, JSON_COMPACT) != 0 ||
        fflush(stdout) != 0) {
        (void)fprintf(stderr, "fumibako-render: the answer cannot be written\n");
        code = FB_EXIT_FAILED;
    }
    explain_deinit(x);
    return code;
}
