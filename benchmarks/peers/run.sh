#!/bin/sh
# All competitors on the same cells and clicks: sh benchmarks/peers/run.sh DATA [ENVIRONMENT]
# ENVIRONMENT is made if it is not there, with the versions in requirements.txt.
set -e
here=$(dirname "$0"); data=$1; peers=${2:-/tmp/hemacells-peers}; cells=${TMPDIR:-/tmp}/hemacells-peers.npz
if [ ! -d "$peers" ]; then
    python3 -m venv "$peers"
    "$peers/bin/pip" install -q -r "$here/requirements.txt"
    "$peers/bin/pip" install -q --no-deps napari-feature-classifier==0.4.3
fi
[ -f "$cells" ] || python "$here/prepare.py" "$data" "$cells"
export OMP_NUM_THREADS=1
"$peers/bin/python" "$here/compete.py" "$cells" | while read -r name; do
    "$peers/bin/python" "$here/compete.py" "$cells" "$name"
done
for name in "this package, detector's vectors" "this package"; do
    python "$here/compete.py" "$cells" "$name"
done
