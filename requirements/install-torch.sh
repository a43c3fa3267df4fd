#!/bin/sh
# torch comes by pip, which sees local wheels where pip is configured to look for them.
# In turn: such a wheel; the index in TORCH_INDEX (PyTorch's own CPU index saves
# gigabytes); the configured index, with the libraries its build needs.
set -eu
requirements=$(dirname "$0")
pip="$VENV/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes"

if $pip --no-index --no-deps -r "$requirements/torch.txt" 2>/dev/null; then
    exit 0
fi
if [ -n "${TORCH_INDEX:-}" ]; then
    exec $pip --index-url "$TORCH_INDEX" --no-deps -r "$requirements/torch.txt"
fi
echo "Installing torch from the configured index; TORCH_INDEX may name a smaller build"
exec $pip -r "$requirements/torch-index.txt"
