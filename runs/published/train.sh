#!/usr/bin/env bash
# runs/published/train.sh RECIPE SHARE: trains fang2021, peng2023, pan2024 or yasaka2020 on a share of a cohort like its
# own. The folder runs/published/work/RECIPE is gone on with where it is there already.
set -euo pipefail
cd "$(dirname "$0")/../.."
recipe=$1 share=$2
python=${PYTHON:-.venv/bin/python}
work=runs/published/work/$recipe
only=()
for name in $("$python" -c "
from trabecula.recipes import recipe_named
print(*(name for name in recipe_named('$recipe').weights if name.startswith('$recipe')))"); do only+=(--only "$name"); done
resume=()
if [ -e "$work/training.json" ]; then resume=(--resume); fi
"$python" -c 'from trabecula.serving.cli import main; main()' train "$recipe" "like:$recipe:$share" --out "$work" \
  --workers "${WORKERS:-0}" "${only[@]}" "${resume[@]}"
"$python" tools/ship.py "$work/weights"
