#!/usr/bin/env bash
# The two networks of the house recipe: virtual patients, training, ONNX files with their manifest. Two cores, no GPU.
# Every step skips or resumes what is already in runs/house/work. On a GPU machine the same commands use it.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=.venv/bin/python
work=runs/house/work

$python -m trabecula.training.house simulate $work
# Two trainings of one thread each use two cores better than one of two threads.
export OMP_NUM_THREADS=1
$python -m trabecula.training.house segmenter $work &
$python -m trabecula.training.house finder $work
wait
$python -m trabecula.training.house export $work
for family in a b; do
  $python -m trabecula.evaluation.virtual --recipe house --patients 60 --family $family --out docs/results/house-virtual-$family
done
