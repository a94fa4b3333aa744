# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For the style checks: files of the project, and one way to complain.  The working folder is the root.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
export faults=0

# Files of the project (what git knows or would take) whose name fits one of the patterns; where there is no git,
# whatever lies here but for what is built or fetched.
files() { # pattern...
  if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git ls-files --cached --others --exclude-standard -- "$@"
  else
    local p
    for p in "$@"; do
      find . \( -name build -o -name node_modules -o -name .git \) -prune -o -type f -name "${p##*/}" -print | sed 's|^\./||'
    done
  fi | sort -u | while IFS= read -r f; do if [ -f "$f" ]; then printf '%s\n' "$f"; fi; done
}
# Programs whose first line names one of these, as "#!/usr/bin/env bash" does.
programs_of() { # interpreter...
  local f first kinds
  kinds=$(IFS='|'; printf '%s' "$*")
  files '*' | while IFS= read -r f; do
    first=
    IFS= read -r -n 64 first 2>/dev/null <"$f" || true
    if [[ $first =~ ^#!.*[/\ ]($kinds)( |$) ]]; then printf '%s\n' "$f"; fi
  done
}
scripts() { programs_of bash sh; }
fault() {
  printf '%s\n' "$*"
  faults=$((faults + 1))
}
# Every line of standard input is a fault.
fault_lines() { # what
  local line
  while IFS= read -r line; do fault "$1: $line"; done
}
finish() { [ "$faults" = 0 ]; exit; }
