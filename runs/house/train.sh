#!/usr/bin/env bash
# The two networks of the house recipe that are its own: virtual patients, training, ONNX files with their manifest.
# Run again, it goes on where it stopped. On a GPU machine the same commands use it; PRESET=small takes minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PYTHON=${PYTHON:-.venv/bin/python}
bash runs/train.sh house "${NUMBER:-1000}" --only house-finder --only house-segmenter
