#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy with .clang-tidy, over what the preset asan compiles.  A file that was clean is asked again only when it,
# a header of ours, .clang-tidy or the tool has changed: stamps are in build/tidy.  Each version brings other checks, so
# that one is asked: 14, Debian 12's.
. "$(dirname "$0")/lib.bash"
if ! clang-tidy --version 2>/dev/null | grep -q 'version 14\.'; then
  echo "skipped: clang-tidy 14 is not here; others have other checks"
  exit 0
fi
database=${FB_TIDY_BUILD:-build/asan}
[ -f "$database/compile_commands.json" ] || { echo "build the preset asan first"; exit 1; }
stamps=build/tidy
mkdir -p "$stamps"
export stamps database
common=$({ clang-tidy --version; cat .clang-tidy; files '*.h' | xargs cat; } | sha256sum | cut -c1-64)
export common
one() { # source
  local key out
  key=$({ echo "$common"; cat "$1"; } | sha256sum | cut -c1-64)
  [ ! -e "$stamps/$key" ] || return 0
  if out=$(timeout 170 clang-tidy -p "$database" --quiet "$1" 2>/dev/null); then
    : >"$stamps/$key"
  else
    printf '%s\n' "${out:-$1: clang-tidy ended without a word}"
    return 1
  fi
}
export -f one
find "$stamps" -type f -mtime +30 -delete
# Only what the database knows: a fuzz target, say, is compiled by another preset.
mapfile -t sources < <(files '*.c' | while IFS= read -r f; do
  if grep -qF "\"$PWD/$f\"" "$database/compile_commands.json"; then echo "$f"; fi
done)
[ ${#sources[@]} -gt 50 ] || fault "only ${#sources[@]} sources are in $database/compile_commands.json"
# shellcheck disable=SC2016 # the inner shell is to expand it
printf '%s\0' "${sources[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c 'one "$0"' || faults=$((faults + 1))
finish
