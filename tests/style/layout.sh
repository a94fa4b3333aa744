#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Licence line, length of lines and files, blanks, line ends, header guards.
. "$(dirname "$0")/lib.bash"
mapfile -t sources < <(files '*.c' '*.h' '*.mjs' '*.js' '*.cmake' '*/CMakeLists.txt' 'CMakeLists.txt' '*.sh' '*.bash')
mapfile -t programs < <(scripts)
fault_lines "no SPDX-License-Identifier" < <(grep -L 'SPDX-License-Identifier: Apache-2.0' "${sources[@]}" "${programs[@]}")
# In JavaScript, letters of tests stand in templates, and a blank at the end of their lines means something.
mapfile -t no_js < <(printf '%s\n' "${sources[@]}" | grep -vE '\.m?js$')
fault_lines "tab or blank at the end" < <(grep -nP '[ \t]+$|^\t| \t' "${no_js[@]}" "${programs[@]}" | cut -c1-120)
fault_lines "CR" < <(grep -nP '\r$' "${sources[@]}" "${programs[@]}" | cut -c1-120)
# With -z, a file is one line.
fault_lines "no line end at the end" < <(grep -LPz '\n\z' "${sources[@]}")
mapfile -t c < <(files '*.c' '*.h')
# 100 columns are what clang-format aims at (format.sh); 120 is what a screen with a diff shows.  Characters, not bytes.
fault_lines "longer than 120" < <(LC_ALL=C.UTF-8 grep -nE '^.{121,}$' "${c[@]}" | cut -d: -f1,2)
# A test program is a list of promises, which is read by their names: it may be a little longer.
mapfile -t long < <(files '*.c' '*.h' '*.mjs' '*.js')
fault_lines "too many lines (600, in tests 800)" < <(wc -l "${long[@]}" |
  awk '$2 != "total" && $1 > ($2 ~ /^tests\// ? 800 : 600) { print $2 ": " $1 }')
mapfile -t headers < <(files '*.h')
fault_lines "the guard is not the path in capitals, FB_..._H" < <(awk '
  FNR == 1 {
    guard = FILENAME
    sub(/^services\//, "", guard)
    sub(/\.h$/, "", guard)
    gsub(/[^A-Za-z0-9]+/, "_", guard)
    guard = "FB_" toupper(guard) "_H"
    wanted[FILENAME] = guard
  }
  $0 == "#ifndef " guard || $0 == "#define " guard { found[FILENAME]++ }
  END { for (f in wanted) if (found[f] != 2) print f ": " wanted[f] }' "${headers[@]}")
finish
