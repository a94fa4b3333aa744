#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Scripts: shellcheck for the shell, a syntax check for Node.
. "$(dirname "$0")/lib.bash"
mapfile -t shell < <(scripts; files '*.sh' '*.bash')
if command -v shellcheck >/dev/null; then
  # SC1091: sourced files are found when the script runs, and are checked themselves.
  fault_lines "shellcheck" < <(printf '%s\n' "${shell[@]}" | sort -u | xargs shellcheck -x -e SC1091 -f gcc -S warning)
else
  fault "shellcheck is not installed: deploy/install-packages test"
fi
out=$({ files '*.mjs' '*.js' '*.cjs'; programs_of node; } | sort -u |
  node --experimental-vm-modules --no-warnings tests/style/syntax.mjs 2>&1) || fault "syntax: $out"
finish
