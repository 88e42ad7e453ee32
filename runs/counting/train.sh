#!/usr/bin/env bash
# The network that counts: 4,000 virtual torsos, training, the ONNX file with its manifest entry, and how it counts.
# Every step skips or resumes what is already in runs/counting/work. On a GPU machine the same commands use it.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=.venv/bin
work=runs/counting/work

# One thread to learn and one process to make batches use two cores better than two threads do.
export OMP_NUM_THREADS=1
resume=""
if [ -e $work/training.json ]; then resume=--resume; fi
$bin/trabecula train house virtual:4000 --only house-counter --workers "${WORKERS:-1}" --out $work $resume
$bin/python tools/ship.py $work/weights
$bin/python -m trabecula.evaluation.counting --torsos 90 --out docs/results/counting
