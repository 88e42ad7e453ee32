#!/usr/bin/env bash
# Installs the Debian packages that the tests use beside Python. Screening needs none of them.
#   dicom3tools   dciodvfy, which holds every DICOM file we write against the standard
#   dcmtk         dsrdump, which reads our structured reports as another program does; storescu, which sends
#   orthanc       an archive that takes our objects and gives them back; RUNLEVEL=1 keeps it from starting as a service
#   chromium      the browser in which the web page is tested
#   postgresql    the other database that the web page can keep its studies in
#   libpango...   what weasyprint sets text with, for the report as PDF (--dicom)
#   fonts-wqy...  Chinese characters, for that PDF with --language zh
set -euo pipefail

packages=(dicom3tools dcmtk orthanc orthanc-dicomweb chromium postgresql)
packages=(dicom3tools dcmtk orthanc orthanc-dicomweb chromium postgresql)
packages+=(libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core fonts-wqy-microhei)
# Debian keeps what "python3 -m venv" needs in a package of its own.
python="${PYTHON:-python3.11}"
"$python" -c 'import ensurepip' 2>/dev/null || packages+=(python3.11 python3.11-venv)

# npm fetches the web page's viewer; it may be there without Debian's package.
command -v npm >/dev/null || packages+=(npm)

missing=()
for package in "${packages[@]}"; do
    dpkg-query --show --showformat '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "Missing: ${missing[*]}. As root: apt-get install --yes --no-install-recommends ${missing[*]}" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
RUNLEVEL=1 apt-get install -qq --yes --no-install-recommends "${missing[@]}" >/dev/null
