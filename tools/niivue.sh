#!/usr/bin/env bash
# Puts the viewer NiiVue (BSD-2-Clause) from npm beside the web page's own files. It is never committed, and the page
# fetches nothing from elsewhere.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=0.69.0
sha256=47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af
folder=src/trabecula/serving/web/static/vendor

if ! command -v npm >/dev/null; then
    echo "npm is missing; it fetches the viewer of the web page. Debian: apt-get install npm" >&2
    exit 1
fi
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "@niivue/niivue@$version" >/dev/null && tar -xzf niivue-niivue-*.tgz)
echo "$sha256  $work/package/dist/niivue.umd.js" | sha256sum --check --quiet
mkdir -p "$folder"
cp "$work/package/dist/niivue.umd.js" "$folder/niivue.js"
