#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Manual pages: mandoc has nothing to say above "style".
. "$(dirname "$0")/lib.bash"
mapfile -t pages < <(files '*.1' '*.5' '*.7' '*.8')
if [ ${#pages[@]} = 0 ]; then
  echo "skipped: no manual pages yet"
  exit 0
fi
fault_lines "mandoc" < <(mandoc -T lint -W warning "${pages[@]}" 2>&1)
finish
