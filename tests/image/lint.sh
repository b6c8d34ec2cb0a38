#!/usr/bin/env bash
# `make lint-dockerfile`: hadolint on the Dockerfile, and on one that it must refuse.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=../tools/versions.sh
. "$root/tests/tools/versions.sh"
hadolint=${VOMSIS_COMPONENTS:-${XDG_CACHE_HOME:-$HOME/.cache}/vomsis-connect}/tools/hadolint-$HADOLINT/bin/hadolint
"$hadolint" --failure-threshold style "$root/Dockerfile"
if printf 'FROM debian\nRUN cd /tmp\n' | "$hadolint" - >/dev/null; then
    echo "FAILED: hadolint accepts everything" >&2
    exit 1
fi
echo "ok: hadolint has nothing to say"
