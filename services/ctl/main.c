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
#define USAGE_WIDTH  96

enum { OPT_VERSION = 1000, OPT_HELP };

/* As getopt_long wants it; val is the place in ctl_options. */
static void fill(struct option out_r[CTL_MAX_OPTIONS + 3])
{
    size_t n = 0;
    for (; n < ctl_option_count; n++) {
        bool is_flag = ctl_options[n].kind == CTL_OPTION_FLAG;
        out_r[n] = (struct option){ctl_options[n].name, is_flag ? no_argument : required_argument,
                                   NULL, (int)n};
    }
    out_r[n++] = (struct option){"version", no_argument, NULL, OPT_VERSION};
    out_r[n++] = (struct option){"help", no_argument, NULL, OPT_HELP};
    out_r[n] = (struct option){0};
}

/* "group name arguments", broken between words. */
static int print_call(FILE *to, const struct ctl_command *k)
{
    int column = fprintf(to, "  %s%s%s", k->group, k->name[0] != '\0' ? " " : "", k->name);
    for (const char *at = k->arguments; *at != '\0';) {
        size_t len = strcspn(at, " ");
        if (at[len] == ' ' && strncmp(at, "[--", 3) == 0 && at[len - 1] != ']') {
            len += 1 + strcspn(at + len + 1, " "); /* an option stays with its value */
        }
        if (column + 1 + (int)len > USAGE_WIDTH) {
            column = fprintf(to, "\n     ") - 1;
        }
        column += fprintf(to, " %.*s", (int)len, at);
        at += len + (at[len] == ' ' ? 1 : 0);
    }
    return column;
}

static void usage(FILE *to)
{
    (void)fputs("usage: fumibako [--config FILE] [--json] COMMAND\n\n", to);
    for (const struct ctl_command *k = ctl_commands; k->group != NULL; k++) {
        int column = print_call(to, k);
        if (column > USAGE_COLUMN) {
            (void)fprintf(to, "\n%*s%s\n", USAGE_COLUMN + 4, "", k->help);
        } else {
            (void)fprintf(to, "%*s%s\n", USAGE_COLUMN + 4 - column, "", k->help);
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

static bool take_list(struct ctl_list *list, const char *text)
{
    if (list->count == CTL_MAX_RECIPIENTS) {
        return false;
    }
    list->items[list->count++] = text;
    return true;
}

/* Says what is wrong with it; false then.  getopt has said its own about unknown options. */
static bool take_option(struct ctl *c, size_t number)
{
    const struct ctl_option *o = &ctl_options[number];
    void *field = (char *)c + o->offset;
    int64_t *value = field;
    c->given |= UINT64_C(1) << number;
    switch (o->kind) {
    case CTL_OPTION_TEXT:
        *(const char **)field = optarg;
        return true;
    case CTL_OPTION_FLAG:
        *(bool *)field = true;
        return true;
    case CTL_OPTION_NUMBER:
        if (fb_parse_int(optarg, value) && *value > 0) {
            return true;
        }
        (void)fprintf(stderr, "fumibako: --%s takes a number above 0\n\n", o->name);
        return false;
    case CTL_OPTION_LIST:
        if (take_list(field, optarg)) {
            return true;
        }
        (void)fprintf(stderr, "fumibako: more than %d --%s\n\n", CTL_MAX_RECIPIENTS, o->name);
        return false;
    default:
        return false;
    }
}

/* An option that a command does not know may be one that was meant to limit it: nothing is done then. */
static bool takes_all(const struct ctl *c, const struct ctl_command *k)
{
    for (size_t i = CTL_COMMON_OPTIONS; i < ctl_option_count; i++) {
        if ((c->given & UINT64_C(1) << i) != 0 && !ctl_command_takes(k, ctl_options[i].name)) {
            (void)fprintf(stderr, "fumibako: %s%s%s does not take --%s\n\n", k->group,
                          k->name[0] != '\0' ? " " : "", k->name, ctl_options[i].name);
            return false;
        }
    }
    return true;
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

/* -1: go on. */
static int read_options(struct ctl *c, int argc, char **argv)
{
    struct option options[CTL_MAX_OPTIONS + 3];
    fill(options);
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == OPT_HELP) {
            usage(stdout);
            return 0;
        }
        if (o == OPT_VERSION) {
            (void)printf("fumibako %s\n", FB_VERSION);
            return 0;
        }
        if (o < 0 || (size_t)o >= ctl_option_count || !take_option(c, (size_t)o)) {
            usage(stderr);
            return FB_EXIT_USAGE;
        }
    }
    return -1;
}

static int refuse(const struct ctl_command *k, int count, char **words)
{
    if (k != NULL) {
        (void)fprintf(stderr, "fumibako: %s%s%s is called as: %s%s%s %s\n\n", k->group,
                      k->name[0] != '\0' ? " " : "", k->name, k->group,
                      k->name[0] != '\0' ? " " : "", k->name, k->arguments);
    } else if (count > 0) {
        (void)fprintf(stderr, "fumibako: there is no such command: %s%s%s\n\n", words[0],
                      count > 1 ? " " : "", count > 1 ? words[1] : "");
    }
    usage(stderr);
    return FB_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    static struct ctl c = {.limit = 50};
    fb_log_init("ctl", FB_WARN, false);
    (void)signal(SIGPIPE, SIG_IGN);
    int code = read_options(&c, argc, argv);
    if (code >= 0) {
        return code;
    }
    int used = 0;
    int count = argc - optind;
    const struct ctl_command *k = find(count, argv + optind, &used);
    if (k == NULL || count - used < k->least || count - used > k->most) {
        return refuse(k, count, argv + optind);
    }
    if (!takes_all(&c, k)) {
        return refuse(k, count, argv + optind);
    }
    c.words = argv + optind + used;
    c.word_count = count - used;
    code = k->run(&c);
    fb_redis_free(&c.redis);
    fb_spool_close(&c.spool);
    fb_config_free(&c.config);
    return code;
}
