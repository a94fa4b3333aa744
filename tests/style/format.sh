#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# clang-format has nothing to say.  Its versions disagree on details, so that one is asked: 14, Debian 12's.
. "$(dirname "$0")/lib.bash"
if ! clang-format --version 2>/dev/null | grep -q 'version 14\.'; then
  echo "skipped: clang-format 14 is not here; others break lines differently"
  exit 0
fi
mapfile -t sources < <(files '*.c' '*.h')
fault_lines "to be formatted: clang-format -i" < <(printf '%s\0' "${sources[@]}" |
  xargs -0 -n 20 -P 2 clang-format --dry-run 2>&1 | sed -nE 's/^([^:]+):[0-9]+:[0-9]+: warning.*/\1/p' | sort -u)
finish
