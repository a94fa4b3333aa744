#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The configuration's documents say what the program reads: the tables of both READMEs, the sample, the manual.
# (--config-table prints common/config_table.c.)
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
program=${FB_BIN:-build/asan/bin}/fumibako-ingest
[ -x "$program" ] || { echo "$program is missing: build it first"; exit 1; }
table=$("$program" --config-table) || exit 1
bad=0
fail() { echo "$*"; bad=1; }
between() { sed -n '/<!-- config-table -->/,/<!-- \/config-table -->/p' "$1" | sed '1d;$d'; }

difference=$(diff <(between README.md) <(printf '%s\n' "$table")) ||
  fail "README.md differs from fumibako-ingest --config-table:"$'\n'"$difference"
# The Japanese table has the same rows, but for the words.
columns() { sed -n 's/^\(| `[^|]*|[^|]*|\).*/\1/p' | sed 's/または/or/'; }
difference=$(diff <(between README.ja.md | columns) <(printf '%s\n' "$table" | columns)) ||
  fail "README.ja.md has other keys or defaults:"$'\n'"$difference"

while IFS= read -r row; do
  key=$(sed -E 's/^\| `([^`]+)`.*/\1/' <<<"$row")
  section=${key%%.*} name=${key#*.}
  [[ $row != *'(or `_file`)'* ]] || name+=_file
  grep -qE "^\.It Cm ${key//./\\.}( No or .*)?$" deploy/fumibako.yaml.5 || fail "deploy/fumibako.yaml.5 lacks $key"
  sed -nE "/^(# )?$section:/,/^$/p" deploy/fumibako.sample.yaml | grep -qE "^ *#? *$name: " ||
    fail "deploy/fumibako.sample.yaml lacks $section: $name"
done < <(printf '%s\n' "$table" | tail -n +3)
count=$(grep -c '^\.It Cm ' deploy/fumibako.yaml.5)
[ "$count" = "$(printf '%s\n' "$table" | tail -n +3 | wc -l)" ] || fail "deploy/fumibako.yaml.5 has keys that do not exist"

# The sample as it stands, and with everything switched on, has no key that the program does not know.
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
umask 077
for key in rewrite.key ingest.token fetch.token redis.password redis.sentinel_password webhook.key webhook2.key oidc.secret tracing.token; do openssl rand -base64 48 >"$dir/$key"; done
sed -E "s#/etc/fumibako/#$dir/#" deploy/fumibako.sample.yaml >"$dir/sample.yaml"
sed -E 's/^# ([a-z]+:)$/\1/; s/^( *)# {1,3}([a-z_]+: [^ ])/  \2/' "$dir/sample.yaml" >"$dir/all.yaml"
for file in sample all; do
  "$program" --config "$dir/$file.yaml" --dump-config >"$dir/out" 2>&1 || fail "the sample ($file): $(cat "$dir/out")"
done
exit $bad
