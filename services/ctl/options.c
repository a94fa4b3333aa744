/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of options. */
#include <stddef.h>
#include <string.h>

#include "services/ctl/ctl.h"

#define AT(field) offsetof(struct ctl, field)

/* What each command takes of them stands in its arguments (commands.c); the first ones are taken by all. */
const struct ctl_option ctl_options[] = {
    {"config", CTL_OPTION_TEXT, AT(config_path)},
    {"json", CTL_OPTION_FLAG, AT(is_json)},
    {"from", CTL_OPTION_TEXT, AT(from)},
    {"to", CTL_OPTION_LIST, AT(to)},
    {"state", CTL_OPTION_TEXT, AT(state)},
    {"sender", CTL_OPTION_TEXT, AT(sender)},
    {"recipient", CTL_OPTION_LIST, AT(recipients)},
    {"subject", CTL_OPTION_TEXT, AT(subject)},
    {"since", CTL_OPTION_TEXT, AT(since)},
    {"until", CTL_OPTION_TEXT, AT(until)},
    {"after", CTL_OPTION_TEXT, AT(after)},
    {"limit", CTL_OPTION_NUMBER, AT(limit)},
    {"content", CTL_OPTION_FLAG, AT(takes_content)},
    {"pending", CTL_OPTION_FLAG, AT(is_pending)},
    {"preview", CTL_OPTION_FLAG, AT(is_preview)},
    {"comment", CTL_OPTION_TEXT, AT(comment)},
    {"reason", CTL_OPTION_TEXT, AT(reason)},
    {"language", CTL_OPTION_TEXT, AT(language)},
    {"storage", CTL_OPTION_TEXT, AT(storage)},
    {"parcel", CTL_OPTION_TEXT, AT(parcel)},
    {"repair-orphans", CTL_OPTION_FLAG, AT(repairs_orphans)},
    {"if-version", CTL_OPTION_TEXT, AT(expected)},
    {"mails", CTL_OPTION_NUMBER, AT(mails)},
    {"user", CTL_OPTION_TEXT, AT(user)},
    {"action", CTL_OPTION_TEXT, AT(action)},
    {"object", CTL_OPTION_TEXT, AT(object)},
    {"file", CTL_OPTION_TEXT, AT(file)},
    {"format", CTL_OPTION_TEXT, AT(format)},
    {"range", CTL_OPTION_TEXT, AT(range)},
    {"role", CTL_OPTION_TEXT, AT(role)},
    {"kind", CTL_OPTION_TEXT, AT(kind)},
    {"rule", CTL_OPTION_TEXT, AT(rule)},
    {"days", CTL_OPTION_NUMBER, AT(days)},
    {NULL, CTL_OPTION_FLAG, 0},
};

#define COUNT (sizeof ctl_options / sizeof ctl_options[0] - 1)
_Static_assert(COUNT <= CTL_MAX_OPTIONS, "raise CTL_MAX_OPTIONS");
/* Which option was given is kept in one word. */
_Static_assert(CTL_MAX_OPTIONS < 64, "more options than bits");
const size_t ctl_option_count = COUNT;

bool ctl_was_given(const struct ctl *c, const char *option)
{
    for (size_t i = 0; i < COUNT; i++) {
        if (strcmp(ctl_options[i].name, option) == 0) {
            return (c->given & UINT64_C(1) << i) != 0;
        }
    }
    return false;
}

bool ctl_command_takes(const struct ctl_command *k, const char *option)
{
    size_t len = strlen(option);
    for (const char *at = k->arguments; (at = strstr(at, "--")) != NULL;) {
        at += 2;
        if (strncmp(at, option, len) == 0 && (at[len] == '\0' || strchr(" ].", at[len]) != NULL)) {
            return true;
        }
    }
    return false;
}
