# SPDX-License-Identifier: Apache-2.0
"""WeasyPrint kept warm, with the protocol of render-paint: weasy.py FILE.html...

All files once, then "ready", a line is awaited; all files again, {"done"}, a line is awaited."""
import json
import logging
import sys
import time

import weasyprint

logging.getLogger('weasyprint').setLevel(logging.CRITICAL)


def paint(path):
    begun = time.monotonic()
    try:
        size = len(weasyprint.HTML(filename=path).write_pdf(presentational_hints=True))
        status = 'ok'
    except Exception:  # whatever a mail makes of it: the next one is painted all the same
        size, status = 0, 'failed'
    return {'file': path, 'painter': 'weasyprint', 'status': status, 'bytes': size, 'ms': [(time.monotonic() - begun) * 1000]}


for name in sys.argv[1:]:
    paint(name)
print('ready', flush=True)
sys.stdin.readline()
for name in sys.argv[1:]:
    print(json.dumps(paint(name)), flush=True)
print(json.dumps({'done': True}), flush=True)
sys.stdin.readline()
