#!/usr/bin/env bash
# Prints the first Python of 3.11 or newer: $PYTHON, then the usual names.
set -euo pipefail

for name in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14 python; do
    if command -v "$name" >/dev/null 2>&1 &&
        "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        command -v "$name"
        exit 0
    fi
done
echo "napari-hemacells needs Python 3.11 or newer, and there is none here." \
    "Install one, or name it: make PYTHON=/path/to/python3" >&2
exit 1
