#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# No left-over marks, no functions that cannot be used safely.
. "$(dirname "$0")/lib.bash"
mapfile -t all < <(files '*.c' '*.h' '*.mjs' '*.js' '*.sh' '*.cmake' '*.yaml' '*.md' '*.txt' | grep -v '^tests/style/words.sh$')
# A mark with an issue, as TODO(#12), may stay.
fault_lines "a bare mark" < <(grep -nIE '\b(TODO|FIXME|XXX)\b' "${all[@]}" | grep -vE 'TODO\(#[0-9]+\)')
banned='strcpy|strcat|sprintf|vsprintf|strncpy|strncat|strtok|gets|atoi|atol|atoll|atof|sscanf|fscanf|scanf|alloca|system|popen|tmpnam|tempnam|mktemp|localtime|gmtime|ctime|asctime|rand|srand|strerror_l'
mapfile -t sources < <(files '*.c' '*.h')
# Comments and texts may name them: what is in /* */, behind // or between quotes on one line is left out.
strip='s@"([^"\\]|\\.)*"@""@g; s@/\*([^*]|\*[^/])*\*/@@g; s@//.*$@@; s@^ ?\*.*$@@; s@/\*.*$@@'
call="(^|[^A-Za-z0-9_.>])($banned) ?\\("
mapfile -t looked_at < <(grep -lE "$call" "${sources[@]}")
for f in "${looked_at[@]}"; do
  fault_lines "banned ($f)" < <(sed -E "$strip" "$f" | grep -nE "$call")
done
finish
