#!/usr/bin/env bash
# Puts what the web page takes from npm beside its own files: the viewer NiiVue (BSD-2-Clause) and dicom-parser (MIT),
# which reads headers in the browser; and axe-core (MPL-2.0), by which its tests judge the pages. None of it is ever
# committed, and the page fetches nothing from elsewhere.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v npm >/dev/null; then
    echo "npm is missing; it fetches the viewer of the web page. Debian: apt-get install npm" >&2
    exit 1
fi
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# fetch PACKAGE FILE SHA256 TARGET
fetch() {
    local into="$work/${1//[@\/]/-}"
    mkdir -p "$into" "$(dirname "$4")"
    (cd "$into" && npm pack --silent "$1" >/dev/null && tar -xzf ./*.tgz)
    echo "$3  $into/package/$2" | sha256sum --check --quiet
    cp "$into/package/$2" "$4"
}

vendor=src/trabecula/serving/web/static/vendor
fetch @niivue/niivue@0.69.0 dist/niivue.umd.js \
    47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af "$vendor/niivue.js"
fetch dicom-parser@1.8.21 dist/dicomParser.min.js \
    2b990e92de021a9c0d58f7dca693c95fa76be6398648b68441df9423de284a2b "$vendor/dicom-parser.js"
fetch axe-core@4.11.1 axe.min.js 7dbfabdfc6062936d79c873ddbb5f811a1219fca3928bd8cc9dd81f1e65f4720 tests/serving/web/vendor/axe.js
