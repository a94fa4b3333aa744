/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako completion bash|zsh|fish: what a shell needs to complete our command lines, made of the table of commands.
 *
 * A command's arguments are read as they stand there: "[--state a|b] FILE ROLE" is an option with two values, a file,
 * and one of the roles.  What else is in capitals is left to who types. */
#include <stdio.h>
#include <string.h>

#include "services/ctl/ctl.h"

#define ROLES    "admin|operator|auditor|helpdesk"
#define MAX_WORD 120

/* ---- the arguments, word by word ---- */

struct word {
    char text[MAX_WORD]; /* without brackets and dots */
    bool is_option;
};

static bool next_word(const char **at, struct word *w)
{
    *at += strspn(*at, " []");
    size_t len = strcspn(*at, " []");
    if (len == 0) {
        return false;
    }
    w->is_option = strncmp(*at, "--", 2) == 0;
    (void)snprintf(w->text, sizeof w->text, "%.*s", (int)len, *at);
    *at += len;
    return true;
}

static bool takes_value(const char *option)
{
    for (const struct ctl_option *o = ctl_options; o->name != NULL; o++) {
        if (strcmp(o->name, option + 2) == 0) {
            return o->kind != CTL_OPTION_FLAG;
        }
    }
    return false;
}

/* What stands for a value: "@file", "a|b", or "" for what nobody can know. */
static const char *values_of(const char *placeholder)
{
    if (strncmp(placeholder, "FILE", 4) == 0 || strcmp(placeholder, "MAIL") == 0 ||
        strcmp(placeholder, "POLICY") == 0) {
        return "@file";
    }
    if (strcmp(placeholder, "ROLE") == 0) {
        return ROLES;
    }
    return strchr(placeholder, '|') != NULL ? placeholder : "";
}

/* each gets the options (value NULL: a flag) and the places (option NULL) in their order. */
typedef void (*each_fn)(const char *option, const char *value, void *ctx);

static void walk(const char *arguments, each_fn each, void *ctx)
{
    struct word w;
    struct word value;
    for (const char *at = arguments; next_word(&at, &w);) {
        if (strncmp(w.text, "...", 3) == 0) {
            continue; /* again and again */
        }
        if (!w.is_option) {
            each(NULL, w.text, ctx);
        } else if (takes_value(w.text) && next_word(&at, &value)) {
            each(w.text, value.text, ctx);
        } else {
            each(w.text, NULL, ctx);
        }
    }
}

static bool is_new_group(const struct ctl_command *k)
{
    return k == ctl_commands || strcmp(k[-1].group, k->group) != 0;
}

static const char *group_help(const struct ctl_command *k)
{
    static const struct {
        const char *group, *help;
    } words[] = {{"policy", "rules: check, apply, try, go back"},
                 {"message", "mails: find, recall, restore"},
                 {"dead", "held mail"},
                 {"spool", "mail in flight"},
                 {"ledger", "the record of mails"},
                 {"vault", "our own storage"},
                 {"reader", "recipients who read in the portal"},
                 {"notices", "texts that recipients get"},
                 {"storages", "where parcels lie"},
                 {"audit", "who changed what"},
                 {"user", "the console's accounts"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0] && k->name[0] != '\0'; i++) {
        if (strcmp(words[i].group, k->group) == 0) {
            return words[i].help;
        }
    }
    return k->help;
}

/* Text inside single quotes; what zsh takes apart has a backslash in front. */
static void quoted(const char *text, const char *special)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            (void)fputs("'\\''", stdout);
        } else {
            (void)printf("%s%c", strchr(special, *text) != NULL ? "\\" : "", *text);
        }
    }
}

static void list_of(const char *values) /* "a|b" as "a b" */
{
    for (; *values != '\0'; values++) {
        (void)putchar(*values == '|' ? ' ' : *values);
    }
}

/* ---- bash ---- */

static void bash_option(const char *option, const char *value, void *ctx)
{
    (void)ctx;
    (void)value;
    if (option != NULL) {
        (void)printf("%s ", option);
    }
}

static void bash_place(const char *option, const char *value, void *ctx)
{
    (void)ctx;
    if (option == NULL) {
        const char *values = values_of(value);
        (void)printf("%s ", values[0] != '\0' ? values : "-");
    }
}

struct value {
    const char *option;
    char text[MAX_WORD];
};

static void find_value(const char *option, const char *value, void *ctx)
{
    struct value *v = ctx;
    if (option != NULL && value != NULL && strcmp(option + 2, v->option) == 0) {
        (void)snprintf(v->text, sizeof v->text, "%s", value);
    }
}

/* What an option takes, as the commands say it. */
static const char *option_values(const char *name, struct value *v)
{
    *v = (struct value){.option = name};
    for (const struct ctl_command *k = ctl_commands; k->group != NULL && v->text[0] == '\0'; k++) {
        walk(k->arguments, find_value, v);
    }
    return strcmp(name, "config") == 0 ? "@file" : values_of(v->text);
}

static void bash_values(void)
{
    struct value v;
    for (const struct ctl_option *o = ctl_options; o->name != NULL; o++) {
        if (o->kind != CTL_OPTION_FLAG) {
            const char *values = option_values(o->name, &v);
            (void)printf("    --%s) values='%s' ;;\n", o->name, values[0] != '\0' ? values : "-");
        }
    }
}

static void bash_commands(void)
{
    for (const struct ctl_command *k = ctl_commands; k->group != NULL; k++) {
        if (is_new_group(k) && k->name[0] != '\0') {
            (void)printf("    %s) names='", k->group);
            for (const struct ctl_command *n = k;
                 n->group != NULL && strcmp(n->group, k->group) == 0; n++) {
                (void)printf("%s%s", n == k ? "" : " ", n->name);
            }
            (void)printf("' ;;\n");
        }
    }
    (void)fputs("    esac\n"
                "    if [[ -n $names ]]; then key=\"${found[0]} ${found[1]-}\"; first=2; fi\n"
                "    case $key in\n",
                stdout);
    for (const struct ctl_command *k = ctl_commands; k->group != NULL; k++) {
        (void)printf("    '%s%s%s') options='", k->group, k->name[0] != '\0' ? " " : "", k->name);
        walk(k->arguments, bash_option, NULL);
        (void)printf("' places='");
        walk(k->arguments, bash_place, NULL);
        (void)printf("' ;;\n");
    }
}

static void bash(void)
{
    (void)fputs("# bash completion for fumibako(1), made by `fumibako completion bash`\n"
                "_fumibako()\n"
                "{\n"
                "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
                "    local i key names='' options='' places='' values='' first=1\n"
                "    local -a found=() place=()\n"
                "    COMPREPLY=()\n"
                "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                "        case ${COMP_WORDS[i]} in\n"
                "        ",
                stdout);
    bool is_first = true;
    for (const struct ctl_option *o = ctl_options; o->name != NULL; o++) {
        if (o->kind != CTL_OPTION_FLAG) {
            (void)printf("%s--%s", is_first ? "" : " | ", o->name);
            is_first = false;
        }
    }
    (void)fputs(") i=$((i + 1)) ;;\n"
                "        -*) ;;\n"
                "        *) found+=(\"${COMP_WORDS[i]}\") ;;\n"
                "        esac\n"
                "    done\n"
                "    case $prev in\n",
                stdout);
    bash_values();
    (void)fputs("    esac\n"
                "    key=${found[0]-}\n"
                "    case $key in\n",
                stdout);
    bash_commands();
    (void)fputs("    esac\n"
                "    if [[ -z $values && $cur == -* ]]; then\n"
                "        values=\"$options --config --json --help --version\"\n"
                "    elif [[ -z $values && ${#found[@]} -eq 0 ]]; then\n"
                "        values='",
                stdout);
    for (const struct ctl_command *k = ctl_commands; k->group != NULL; k++) {
        if (is_new_group(k)) {
            (void)printf("%s%s", k == ctl_commands ? "" : " ", k->group);
        }
    }
    (void)fputs("'\n"
                "    elif [[ -z $values && -n $names && ${#found[@]} -eq 1 ]]; then\n"
                "        values=$names\n"
                "    elif [[ -z $values ]]; then\n"
                "        read -r -a place <<<\"$places\"\n"
                "        values=${place[${#found[@]} - first]:--}\n"
                "    fi\n"
                "    case $values in\n"
                "    -) ;;\n"
                "    @file)\n"
                "        compopt -o filenames 2>/dev/null\n"
                "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
                "        ;;\n"
                "    *) mapfile -t COMPREPLY < <(compgen -W \"${values//|/ }\" -- \"$cur\") ;;\n"
                "    esac\n"
                "}\n"
                "complete -F _fumibako fumibako\n",
                stdout);
}

/* ---- zsh ---- */

static void zsh_values(const char *placeholder)
{
    const char *values = values_of(placeholder);
    (void)putchar(':');
    quoted(values[0] == '@' || values[0] == '\0' ? placeholder : "value", ":[]");
    (void)putchar(':');
    if (values[0] == '@') {
        (void)fputs("_files", stdout);
    } else if (values[0] != '\0') {
        (void)putchar('(');
        list_of(values);
        (void)putchar(')');
    }
    (void)putchar('\'');
}

static void zsh_argument(const char *option, const char *value, void *ctx)
{
    int *place = ctx;
    if (option == NULL) {
        (void)printf(" '%d", ++*place);
        zsh_values(value);
    } else if (value == NULL) {
        (void)printf(" '%s'", option);
    } else {
        (void)printf(" '*%s", option);
        zsh_values(value);
    }
}

static void zsh_names(const struct ctl_command *k)
{
    (void)printf("    if (( CURRENT == 2 )); then\n      names=(");
    for (const struct ctl_command *n = k; n->group != NULL && strcmp(n->group, k->group) == 0;
         n++) {
        (void)printf("'%s:", n->name);
        quoted(n->help, ":");
        (void)printf("' ");
    }
    (void)printf(")\n      _describe command names\n      return\n    fi\n"
                 "    shift words; (( CURRENT-- ))\n    case $words[1] in\n");
}

static void zsh(void)
{
    (void)fputs("#compdef fumibako\n"
                "# zsh completion for fumibako(1), made by `fumibako completion zsh`\n"
                "local curcontext=$curcontext state line\n"
                "local -a names\n"
                "_arguments -C '--config:FILE:_files' '--json' '--help' '--version' "
                "'1: :->group' '*:: :->rest'\n"
                "if [[ $state == group ]]; then\n  names=(",
                stdout);
    for (const struct ctl_command *k = ctl_commands; k->group != NULL; k++) {
        if (is_new_group(k)) {
            (void)printf("'%s:", k->group);
            quoted(group_help(k), ":");
            (void)printf("' ");
        }
    }
    (void)fputs(")\n  _describe command names\nelif [[ $state == rest ]]; then\n"
                "  case $words[1] in\n",
                stdout);
    for (const struct ctl_command *k = ctl_commands; k->group != NULL; k++) {
        int place = 0;
        bool has_names = k->name[0] != '\0';
        if (is_new_group(k)) {
            (void)printf("  %s)\n", k->group);
        }
        if (is_new_group(k) && has_names) {
            zsh_names(k);
        }
        (void)printf("%s%s%s    _arguments '--json'", has_names ? "    " : "", k->name,
                     has_names ? ")" : "");
        walk(k->arguments, zsh_argument, &place);
        (void)printf("%s\n", has_names ? " ;;" : "");
        bool is_last = k[1].group == NULL || strcmp(k[1].group, k->group) != 0;
        if (is_last) {
            (void)printf("%s    ;;\n", has_names ? "    esac\n" : "");
        }
    }
    (void)fputs("  esac\nfi\n", stdout);
}

/* ---- fish ---- */

static void fish_argument(const char *option, const char *value, void *ctx)
{
    const struct ctl_command *k = ctx;
    const char *values = value != NULL ? values_of(value) : "";
    if (option == NULL && values[0] == '\0') {
        return;
    }
    (void)printf("complete -c fumibako -n '__fish_seen_subcommand_from %s", k->group);
    if (k->name[0] != '\0') {
        (void)printf("; and __fish_seen_subcommand_from %s", k->name);
    }
    (void)putchar('\'');
    if (option != NULL) {
        (void)printf(" -l %s%s", option + 2, value != NULL ? " -x" : "");
    }
    if (values[0] == '@') {
        (void)printf(option != NULL ? " -F" : " -F -a ''");
    } else if (values[0] != '\0') {
        (void)printf(" -a '");
        list_of(values);
        (void)printf("'");
    }
    (void)putchar('\n');
}

static void fish(void)
{
    (void)fputs("# fish completion for fumibako(1), made by `fumibako completion fish`\n"
                "complete -c fumibako -f\n"
                "complete -c fumibako -l config -r -F\n"
                "complete -c fumibako -l json\n"
                "complete -c fumibako -l help\n"
                "complete -c fumibako -l version\n",
                stdout);
    for (const struct ctl_command *k = ctl_commands; k->group != NULL; k++) {
        if (is_new_group(k)) {
            (void)printf("complete -c fumibako -n __fish_use_subcommand -a %s -d '", k->group);
            quoted(group_help(k), "\\");
            (void)printf("'\n");
        }
        if (k->name[0] != '\0') {
            (void)printf("complete -c fumibako -n '__fish_seen_subcommand_from %s; and test (count "
                         "(commandline -opc)) -le 2' -a %s -d '",
                         k->group, k->name);
            quoted(k->help, "\\");
            (void)printf("'\n");
        }
        walk(k->arguments, fish_argument, (void *)(uintptr_t)k);
    }
}

int ctl_completion(struct ctl *c)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        if (strcmp(shells[i].name, c->words[0]) == 0) {
            shells[i].print();
            return fflush(stdout) == 0 ? 0 : FB_EXIT_FAILED;
        }
    }
    return ctl_usage_error(c, "completion is there for bash, zsh and fish");
}
