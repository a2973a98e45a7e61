#!/usr/bin/env bash
# create_venv.sh FOLDER: a virtual environment with a Python of 3.11 or newer.
set -euo pipefail

here=$(dirname "$0")
has_apt_as_root() { [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; }

if ! python=$("$here/find_python.sh" 2>/dev/null) && has_apt_as_root; then
    "$here/apt_install.sh" python3 python3-venv
fi
python=$("$here/find_python.sh")

# Debian splits the standard library: its python3 has no ensurepip until python3-venv is there.
if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    version=$("$python" -c 'import sys; print("python{}.{}".format(*sys.version_info))')
    "$here/apt_install.sh" "$version-venv"
fi
"$python" -m venv --clear "$1" || { rm -rf "$1"; exit 1; }
echo "Virtual environment $1 with $("$1/bin/python" --version)"
