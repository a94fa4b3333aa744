/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of subcommands. */
#include "services/ctl/ctl.h"

const struct ctl_command ctl_commands[] = {
    {"policy", "check", "FILE", "find every error of a policy, with its line", 1, 1,
     ctl_policy_check},
    {"policy", "show", "", "print the policy in force", 0, 0, ctl_policy_show},
    {"policy", "apply", "FILE [--comment TEXT]", "check a policy and put it in force", 1, 1,
     ctl_policy_apply},
    {"policy", "history", "[--limit N]", "who put what in force, and when", 0, 0,
     ctl_policy_history},
    {"policy", "test", "MAIL [POLICY] --from A --to B [--to C]",
     "which rule takes each recipient, and why", 1, 2, ctl_policy_test},
    {"message", "list",
     "[--sender A] [--recipient B] [--state S] [--pending] [--since T] [--until T] [--limit N]",
     "messages, newest first; states: queued planned held done", 0, 0, ctl_message_list},
    {"message", "show", "ID", "what became of a message, for each recipient", 1, 1,
     ctl_message_show},
    {"message", "recall", "ID [--recipient B] [--content]",
     "take it back; --content removes the files, too", 1, 1, ctl_message_recall},
    {"queue", "", "", "depth and age of each stage", 0, 0, ctl_queue},
    {"dead", "list", "", "held mail, and why", 0, 0, ctl_dead_list},
    {"dead", "show", "ID", "one held mail, and what can be done", 1, 1, ctl_dead_show},
    {"dead", "retry", "ID", "try its stage again", 1, 1, ctl_dead_retry},
    {"dead", "release", "ID", "send it on UNPROTECTED, as it came", 1, 1, ctl_dead_release},
    {"dead", "reject", "ID", "give it up and tell its sender", 1, 1, ctl_dead_reject},
    {"spool", "list", "[--limit N]", "messages in flight", 0, 0, ctl_spool_list},
    {"spool", "replay", "", "enqueue what is spooled and not known to Redis", 0, 0,
     ctl_spool_replay},
    {"ledger", "rebuild", "", "after a loss of Redis: replay, then parcels from the manifests", 0,
     0, ctl_ledger_rebuild},
    {"doctor", "", "", "check configuration, keys, Redis, policy, storages, relay, services", 0, 0,
     ctl_doctor},
    {"submit", "", "FILE.eml --from A --to B [--to C]", "hand a mail to ingest", 1, 1, ctl_submit},
    {0},
};
