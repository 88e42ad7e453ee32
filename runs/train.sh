#!/usr/bin/env bash
# runs/train.sh RECIPE NUMBER [--only WEIGHTS ...]: trains on NUMBER virtual patients, drawn as they are needed, then
# judges what came of it on others. The folder runs/RECIPE/work-PRESET is gone on with where it is there already.
set -euo pipefail
recipe=$1 number=$2
shift 2
preset=${PRESET:-full}
work=runs/$recipe/work-$preset
workers=${WORKERS:-2}
python=${PYTHON:-.venv/bin/python}
trabecula() { "$python" -c 'from trabecula.serving.cli import main; main()' "$@"; }

resume=()
if [ -e "$work/training.json" ]; then resume=(--resume); fi
trabecula train "$recipe" "virtual:$number" --out "$work" --preset "$preset" --workers "$workers" "${resume[@]}" "$@"
if [ "$preset" = full ]; then
  for family in a b; do
    trabecula evaluate "$recipe" "virtual:24:$family" --weights "$work/weights" --out "$work/evaluation-$family" --workers "$workers"
  done
fi
