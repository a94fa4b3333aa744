#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs render-mime-dump over a corpus of mails: no crash, no sanitizer report, limits kept, every part's range decodes
# to the size and SHA-1 that are claimed.  FUMIBAKO_SHARED names the folder that holds corpus/files.
set -eu
corpus=${FUMIBAKO_SHARED:-}/corpus/files
if [ -z "${FUMIBAKO_SHARED:-}" ] || [ ! -d "$corpus" ]; then
    echo "skipped: FUMIBAKO_SHARED does not name a folder with corpus/files"
    exit 77
fi
exec "$1" -q "$corpus"
