/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako: the operator's command line. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/yaml.h"
#include "services/ctl/ctl.h"

#define USAGE_COLUMN 44

enum {
    OPT_CONFIG = 1,
    OPT_JSON,
    OPT_FROM,
    OPT_TO,
    OPT_STATE,
    OPT_SENDER,
    OPT_RECIPIENT,
    OPT_SINCE,
    OPT_UNTIL,
    OPT_LIMIT,
    OPT_CONTENT,
    OPT_PENDING,
    OPT_COMMENT,
    OPT_REASON,
    OPT_LANGUAGE,
    OPT_STORAGE,
    OPT_PARCEL,
    OPT_REPAIR_ORPHANS,
    OPT_IF_VERSION,
    OPT_VERSION,
    OPT_HELP,
};

static const struct option options[] = {{"config", required_argument, NULL, OPT_CONFIG},
                                        {"json", no_argument, NULL, OPT_JSON},
                                        {"from", required_argument, NULL, OPT_FROM},
                                        {"to", required_argument, NULL, OPT_TO},
                                        {"state", required_argument, NULL, OPT_STATE},
                                        {"sender", required_argument, NULL, OPT_SENDER},
                                        {"recipient", required_argument, NULL, OPT_RECIPIENT},
                                        {"since", required_argument, NULL, OPT_SINCE},
                                        {"until", required_argument, NULL, OPT_UNTIL},
                                        {"limit", required_argument, NULL, OPT_LIMIT},
                                        {"content", no_argument, NULL, OPT_CONTENT},
                                        {"pending", no_argument, NULL, OPT_PENDING},
                                        {"comment", required_argument, NULL, OPT_COMMENT},
                                        {"reason", required_argument, NULL, OPT_REASON},
                                        {"language", required_argument, NULL, OPT_LANGUAGE},
                                        {"storage", required_argument, NULL, OPT_STORAGE},
                                        {"parcel", required_argument, NULL, OPT_PARCEL},
                                        {"repair-orphans", no_argument, NULL, OPT_REPAIR_ORPHANS},
                                        {"if-version", required_argument, NULL, OPT_IF_VERSION},
                                        {"version", no_argument, NULL, OPT_VERSION},
                                        {"help", no_argument, NULL, OPT_HELP},
                                        {NULL, 0, NULL, 0}};

static void usage(FILE *to)
{
    (void)fputs("usage: fumibako [--config FILE] [--json] COMMAND\n\n", to);
    for (const struct ctl_command *k = ctl_commands; k->group != NULL; k++) {
        char line[120];
        (void)snprintf(line, sizeof line, "%s%s%s%s%s", k->group, k->name[0] != '\0' ? " " : "",
                       k->name, k->arguments[0] != '\0' ? " " : "", k->arguments);
        if (strlen(line) > USAGE_COLUMN) {
            (void)fprintf(to, "  %s\n  %-*s  %s\n", line, USAGE_COLUMN, "", k->help);
        } else {
            (void)fprintf(to, "  %-*s  %s\n", USAGE_COLUMN, line, k->help);
        }
    }
    (void)fputs(
        "\n"
        "  --config FILE   configuration (default: $FUMIBAKO_CONFIG, then "
        "/etc/fumibako/fumibako.yaml)\n"
        "  --json          answer with one JSON value; errors as {\"error\": {\"code\", "
        "\"message\"}}\n"
        "  --since, --until  2026-11-25, 2026-11-25T10:15:00, or 2h, 3d (ago)\n"
        "  --version, --help\n\n"
        "exit: 0 done, 1 failed (or the check found errors), 2 usage, 78 bad configuration\n",
        to);
}

/* Where the text of an option goes; NULL for another kind of option. */
static const char **text_option(struct ctl *c, int o)
{
    switch (o) {
    case OPT_CONFIG:
        return &c->config_path;
    case OPT_FROM:
        return &c->from;
    case OPT_STATE:
        return &c->state;
    case OPT_SENDER:
        return &c->sender;
    case OPT_RECIPIENT:
        return &c->recipient;
    case OPT_SINCE:
        return &c->since;
    case OPT_UNTIL:
        return &c->until;
    case OPT_COMMENT:
        return &c->comment;
    case OPT_REASON:
        return &c->reason;
    case OPT_LANGUAGE:
        return &c->language;
    case OPT_STORAGE:
        return &c->storage;
    case OPT_PARCEL:
        return &c->parcel;
    case OPT_IF_VERSION:
        return &c->expected;
    default:
        return NULL;
    }
}

static bool take_option(struct ctl *c, int o)
{
    const char **text = text_option(c, o);
    if (text != NULL) {
        *text = optarg;
        return true;
    }
    switch (o) {
    case OPT_JSON:
        c->is_json = true;
        return true;
    case OPT_CONTENT:
        c->takes_content = true;
        return true;
    case OPT_PENDING:
        c->is_pending = true;
        return true;
    case OPT_REPAIR_ORPHANS:
        c->repairs_orphans = true;
        return true;
    case OPT_LIMIT:
        return fb_parse_int(optarg, &c->limit) && c->limit > 0;
    case OPT_TO:
        if (c->to_count == CTL_MAX_RECIPIENTS) {
            return false;
        }
        c->to[c->to_count++] = optarg;
        return true;
    default:
        return false;
    }
}

/* getopt has said its own about unknown options. */
static void complain(int o)
{
    if (o == OPT_LIMIT) {
        (void)fprintf(stderr, "fumibako: --limit takes a number above 0\n\n");
    } else if (o == OPT_TO) {
        (void)fprintf(stderr, "fumibako: more than %d --to\n\n", CTL_MAX_RECIPIENTS);
    }
}

static const struct ctl_command *find(int argc, char **argv, int *used_r)
{
    for (const struct ctl_command *k = ctl_commands; k->group != NULL && argc > 0; k++) {
        if (strcmp(k->group, argv[0]) != 0) {
            continue;
        }
        if (k->name[0] == '\0') {
            *used_r = 1;
            return k;
        }
        if (argc > 1 && strcmp(k->name, argv[1]) == 0) {
            *used_r = 2;
            return k;
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct ctl c = {.limit = 50};
    fb_log_init("ctl", FB_WARN, false);
    (void)signal(SIGPIPE, SIG_IGN);
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == OPT_HELP) {
            usage(stdout);
            return 0;
        }
        if (o == OPT_VERSION) {
            (void)printf("fumibako %s\n", FB_VERSION);
            return 0;
        }
        if (!take_option(&c, o)) {
            complain(o);
            usage(stderr);
            return FB_EXIT_USAGE;
        }
    }
    int used = 0;
    const struct ctl_command *k = find(argc - optind, argv + optind, &used);
    if (k == NULL || argc - optind - used < k->least || argc - optind - used > k->most) {
        if (k != NULL) {
            (void)fprintf(stderr, "fumibako: %s%s%s is called as: %s%s%s %s\n\n", k->group,
                          k->name[0] != '\0' ? " " : "", k->name, k->group,
                          k->name[0] != '\0' ? " " : "", k->name, k->arguments);
        } else if (optind < argc) {
            (void)fprintf(stderr, "fumibako: there is no such command: %s%s%s\n\n", argv[optind],
                          optind + 1 < argc ? " " : "", optind + 1 < argc ? argv[optind + 1] : "");
        }
        usage(stderr);
        return FB_EXIT_USAGE;
    }
    c.words = argv + optind + used;
    c.word_count = argc - optind - used;
    int code = k->run(&c);
    fb_redis_free(&c.redis);
    fb_spool_close(&c.spool);
    fb_config_free(&c.config);
    return code;
}
