#!/usr/bin/env bash
# apt_install.sh PACKAGE...: installs the packages as root on Debian and Ubuntu.
# Elsewhere it says the one command to run, and fails.
set -euo pipefail

if ! command -v apt-get >/dev/null 2>&1; then
    echo "Install these with your system's package manager, then run make again: $*" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "System packages are missing. Run this command, then make again:" >&2
    echo "  sudo apt-get update && sudo apt-get install -y $*" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
echo "Installing system packages: $*"
apt-get update -qq </dev/null
apt-get install -y -qq --no-install-recommends "$@" </dev/null
