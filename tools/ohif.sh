#!/usr/bin/env bash
# Puts the viewer OHIF (MIT), as it is built for npm, where the tests find it: they look at our objects as a reader does.
# 50 MB to fetch, 200 MB on the disk; never committed, and no part of the product.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v npm >/dev/null; then
    echo "npm is missing; it fetches the viewer that the tests drive. Debian: apt-get install npm" >&2
    exit 1
fi
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
target=tests/export/vendor/ohif
(cd "$work" && npm pack --silent @ohif/app@3.13.2 >/dev/null)
echo "b189d3963bfc58e9394a9db8c7be75d07beb029ec211dbb126d47b62969dd3f1  $work/ohif-app-3.13.2.tgz" | sha256sum --check --quiet
rm -rf "$target"
mkdir -p "$target"
tar -xzf "$work/ohif-app-3.13.2.tgz" -C "$target" --strip-components=2 package/dist
