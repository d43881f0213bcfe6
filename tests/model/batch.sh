#!/bin/sh
# batch.sh [FILE]: runs every configuration of FILE (default: configs), lines NAME|model flags|pan.c
# flags|pan flags, JOBS (default 2) at a time. ok_* must hold, bad_* must be violated; exits 1 otherwise.
# UNFINISHED is neither and is reported: raise LIMIT (seconds) or MEMLIM (MiB).
here=$(cd "$(dirname "$0")" && pwd)
one() { IFS='|' read -r n m c p <<X
$1
X
"$here/one.sh" "$n" "$m" "$c" "$p"; }
if [ "$1" = -1 ]; then one "$2"; exit 0; fi
command -v spin >/dev/null || { echo "spin is not installed: skipped" >&2; exit 0; }
out=${MODEL_TMP:-${TMPDIR:-/tmp}/ringstack-model}/results; mkdir -p "$(dirname "$out")"
grep -v '^#' "${1:-$here/configs}" | tr '\n' '\0' | xargs -0 -P"${JOBS:-2}" -n1 "$0" -1 | tee "$out"
wrong=$(grep -cE '^ok_[^:]*: VIOLATED|^bad_[^:]*: holds' "$out")
echo "$(grep -cE '^ok_[^:]*: holds|^bad_[^:]*: VIOLATED' "$out") as expected, $wrong wrong, $(grep -c UNFINISHED "$out") unfinished"
[ "$wrong" = 0 ]
