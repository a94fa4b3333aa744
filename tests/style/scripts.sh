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
for f in $(files '*.mjs' '*.js' '*.cjs') $(files '*' | while IFS= read -r f; do
  case $(head -c 64 "$f" 2>/dev/null | head -n 1 | tr -d '\0') in '#!'*node*) echo "$f" ;; esac
done); do
  case $f in
  *.mjs | *.js | *.cjs) out=$(node --check "$f" 2>&1) || fault "$f: $out" ;;
  # Without an ending, Node asks package.json: the copy keeps it in the same folder's rules.
  *) out=$(node --check - <"$f" 2>&1) || fault "$f: $out" ;;
  esac
done
finish
