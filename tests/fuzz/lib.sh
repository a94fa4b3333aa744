# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What tests/fuzz/run and tests/fuzz/smoke share; the working folder is the root.

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

# One run.  No leak check at the end of each input costs nothing, so it stays on; 4 KiB is more than any bug needed
# to show, 64 KiB leaves room for the structures of MIME.
run_target() { # target seconds folder-for-new-inputs
  local target=$1 seconds=$2 found=$3 dict=() seeds=()
  [ ! -f "tests/fuzz/dict/$target.dict" ] || dict=("-dict=tests/fuzz/dict/$target.dict")
  mapfile -t seeds < <(seeds_of "$target")
  mkdir -p build/fuzz/crashes
  env -u FUMIBAKO_CONFIG ASAN_OPTIONS="detect_leaks=1:${ASAN_OPTIONS:-}" \
    "build/fuzz/bin/$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=65536 \
    -print_final_stats=1 -artifact_prefix="build/fuzz/crashes/$target-" "${dict[@]}" "$found" "${seeds[@]}"
}
