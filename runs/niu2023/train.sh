#!/usr/bin/env bash
# The whole experiment: virtual patients, three networks, ONNX files with their manifest. Two cores, no GPU.
# Every step skips or resumes what is already in runs/niu2023/work. Times are those of the recorded run.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=.venv/bin/python
work=runs/niu2023/work

$python -m trabecula.training.niu2023 simulate $work
# Two trainings of one thread each use two cores better than one of two threads.
export OMP_NUM_THREADS=1
$python -m trabecula.training.niu2023 segmenter $work &
$python -m trabecula.training.niu2023 localiser $work
$python -m trabecula.training.niu2023 densitometer $work
wait
$python -m trabecula.training.niu2023 export $work
$python -m trabecula.evaluation.virtual --recipe niu2023 --patients 40 --out docs/results/niu2023-virtual
