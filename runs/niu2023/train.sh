#!/usr/bin/env bash
# The three networks of niu2023: virtual patients, training, ONNX files with their manifest.
# Run again, it goes on where it stopped. On a GPU machine the same commands use it; PRESET=small takes minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PYTHON=${PYTHON:-.venv/bin/python}
bash runs/train.sh niu2023 "${NUMBER:-600}"
