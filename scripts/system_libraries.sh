#!/usr/bin/env bash
# Makes sure of what a real napari viewer needs without a display: Xvfb, and the libraries that
# Qt 6 and OpenGL load; and of a browser for the tests of the page. Debian and Ubuntu only; other systems bring them or are told by Qt.
set -euo pipefail

packages=(
    xvfb xauth libgl1 libegl1 libopengl0 libgl1-mesa-dri libxkbcommon-x11-0 libxcb-cursor0
    libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0
    libxcb-xinerama0 libdbus-1-3 libfontconfig1 libglib2.0-0
)

command -v dpkg-query >/dev/null 2>&1 || exit 0

installed() {
    dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'
}

missing=()
for package in "${packages[@]}"; do
    # Debian 13 and Ubuntu 24.04 renamed some libraries for 64-bit time.
    installed "$package" || installed "${package}t64" || missing+=("$package")
done
browser=
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then browser=$name; fi
done
[ -n "$browser" ] || missing+=(chromium)
if [ "${#missing[@]}" -gt 0 ]; then
    "$(dirname "$0")/apt_install.sh" "${missing[@]}"
fi
