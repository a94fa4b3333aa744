# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What tests/fuzz/run and tests/fuzz/smoke share; the working folder is the root.

all_targets() {
  local source
  for source in tests/fuzz/fuzz_*.c; do basename "$source" .c; done
}

build_targets() { # target...
  local log=build/fuzz-build.log
  mkdir -p build
  if ! { cmake --preset fuzz && cmake --build --preset fuzz --target "$@"; } >"$log" 2>&1; then
    cat "$log"
    return 1
  fi
}

# The folders of a target's seeds; real documents of the project serve as seeds, too.
seeds_of() { # target
  [ ! -d "tests/fuzz/corpus/$1" ] || echo "tests/fuzz/corpus/$1"
  case $1 in
  fuzz_job) printf '%s\n' proto/vectors/good proto/vectors/bad ;;
  fuzz_policy) echo tests/fixtures/policies ;;
  esac
}

# The sources that a target is there to test: of these its line coverage is told.
files_of() { # target
  local r=services/render
  case $1 in
  fuzz_box) printf '%s\n' services/upload/box*.c | grep -vE 'box(_limit|_names)?\.c$' ;;
  fuzz_charset) printf '%s\n' $r/charset*.c ;;
  fuzz_config) printf '%s\n' common/config.c common/config_print.c common/config_table.c common/yaml.c ;;
  fuzz_events) printf '%s\n' services/upload/box_events.c services/watch/signature.c ;;
  fuzz_form) printf '%s\n' common/language.c common/totp/totp.c services/portal/{form,html}.c ;;
  fuzz_signin) printf '%s\n' common/accounts/codec.c services/console/{jwt,passkey}.c ;;
  fuzz_headers) printf '%s\n' $r/{addresses,headers,names,params,words}.c ;;
  fuzz_html) printf '%s\n' $r/html_prepare*.c ;;
  fuzz_http) printf '%s\n' common/http_server.c services/ingest/{http,smtp_data}.c ;;
  fuzz_job) printf '%s\n' proto/{envelope,job,pack,parcel,plan}.c ;;
  fuzz_mime) printf '%s\n' $r/mime*.c $r/html_text.c ;;
  fuzz_multipart) printf '%s\n' common/mime_write.c services/portal/{multipart,reply_compose}.c ;;
  fuzz_native) printf '%s\n' $r/native*.c ;;
  fuzz_notice) printf '%s\n' common/mime_write.c services/rewrite/{code_text,letter_result,letter_text,notice_text,words}.c ;;
  fuzz_paint) printf '%s\n' $r/{flowed,html_text,links,page,rtf,text_paint}.c ;;
  fuzz_policy) printf '%s\n' common/policy/*.c | grep -v service_source ;;
  fuzz_reading) printf '%s\n' common/http_range.c services/portal/{painter_wire,read_name,read_ticket}.c ;;
  fuzz_redis) printf '%s\n' common/redis.c common/redis_{cluster,link,reply,sentinel,url}.c ;;
  fuzz_relay) printf '%s\n' services/rewrite/smtp_{client,stuff,wire}.c ;;
  fuzz_s3) printf '%s\n' common/s3/{client,object,reply,request,upload,xml}.c ;;
  fuzz_section) printf '%s\n' $r/section*.c $r/content_line.c ;;
  fuzz_smtp) printf '%s\n' services/ingest/smtp_{command,data,session,verbs}.c ;;
  fuzz_spool) printf '%s\n' common/spool/{journal_index,layout,walk}.c common/sealed/{chunks,file,seal}.c ;;
  fuzz_tnef) printf '%s\n' $r/{rtf,tnef,tnef_props}.c ;;
  fuzz_trace_header) echo proto/trace_header.c ;;
  fuzz_transfer) echo proto/transfer.c ;;
  fuzz_vault) echo common/vault/state.c ;;
  esac
}

# One run.  No leak check at the end of each input costs nothing, so it stays on; 4 KiB is more than any bug needed
# to show, 64 KiB leaves room for the structures of MIME.
run_target() { # target seconds folder-for-new-inputs [option...]
  local target=$1 seconds=$2 found=$3 dict=() seeds=()
  shift 3
  [ ! -f "tests/fuzz/dict/$target.dict" ] || dict=("-dict=tests/fuzz/dict/$target.dict")
  mapfile -t seeds < <(seeds_of "$target")
  mkdir -p build/fuzz/crashes
  env -u FUMIBAKO_CONFIG ASAN_OPTIONS="detect_leaks=1:${ASAN_OPTIONS:-}" \
    "build/fuzz/bin/$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=65536 \
    -print_final_stats=1 -artifact_prefix="build/fuzz/crashes/$target-" "${dict[@]}" "$@" "$found" "${seeds[@]}"
}

llvm_tool() { # name
  command -v "$1" || command -v "$1-14" || command -v "$1-19"
}

# "83.1% of 1204 lines": what the corpus reaches in the files of files_of, with a build of its own; "-" without LLVM's
# tools (package llvm).
line_coverage() { # target folder-with-inputs
  local target=$1 found=$2 dir=build/fuzz-coverage profdata cov files seeds
  if ! profdata=$(llvm_tool llvm-profdata) || ! cov=$(llvm_tool llvm-cov); then
    echo "-"
    return
  fi
  if ! { cmake --preset fuzz -B "$dir" -DCMAKE_C_FLAGS="-fprofile-instr-generate -fcoverage-mapping" &&
    cmake --build "$dir" --target "$target"; } >"$dir.log" 2>&1; then
    echo "- (see $dir.log)"
    return
  fi
  mapfile -t files < <(files_of "$target")
  mapfile -t seeds < <(seeds_of "$target")
  env -u FUMIBAKO_CONFIG LLVM_PROFILE_FILE="$dir/$target.profraw" ASAN_OPTIONS="detect_leaks=0" \
    "$dir/bin/$target" -runs=0 -timeout=20 "$found" "${seeds[@]}" >"$dir/$target.log" 2>&1 || true
  "$profdata" merge -sparse "$dir/$target.profraw" -o "$dir/$target.profdata" || return
  "$cov" export -summary-only -instr-profile="$dir/$target.profdata" "$dir/bin/$target" "${files[@]}" |
    sed -E 's/.*"totals":.*"lines":\{"count":([0-9]+),"covered":([0-9]+),"percent":([0-9.]+)\}.*/\1 \3/' |
    awk '{printf "%.1f%% of %d lines\n", $2, $1}'
}

# One line of the report, from the log of a run: executions, a second, cov and ft of libFuzzer, inputs, findings.
summary_of() { # target seconds log lines
  local log=$3 done_line executions findings
  executions=$(sed -nE 's/^stat::number_of_executed_units: *([0-9]+)/\1/p' "$log" | tail -1)
  done_line=$(grep -aE '^#[0-9]+.*cov: ' "$log" | tail -1)
  findings=$(grep -acE '^artifact_prefix=' "$log" || true)
  awk -v t="$1" -v s="$2" -v n="${executions:-0}" -v l="$done_line" -v c="$4" -v f="$findings" 'BEGIN {
    match(l, /cov: [0-9]+/); cov = substr(l, RSTART + 5, RLENGTH - 5)
    match(l, /ft: [0-9]+/); ft = substr(l, RSTART + 4, RLENGTH - 4)
    printf "%-18s %6d s %10d executions %7.0f/s  cov %5d  ft %6d  %-20s  findings %d\n", t, s, n, n / (s > 0 ? s : 1),
      cov, ft, c, f }'
}
