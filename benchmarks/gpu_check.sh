#!/usr/bin/env bash
# Whether everything works on a GPU and how fast: one command, eight minutes at most, no network.
# gpu_check.sh --help lists what it does and the arguments; gpu_check.py does it.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
site=${GPU_CHECK_SITE:-} python=${PYTHON:-python3} arguments=()
while (($#)); do
  case $1 in
    --site) site=${2:?--site needs a folder}; shift 2 ;;
    --python) python=${2:?--python needs a program}; shift 2 ;;
    *) arguments+=("$1"); shift ;;
  esac
done
# paths are absolute, since the check runs in the project's folder
[[ -z $site ]] || site=$(cd "$site" && pwd)
export PYTHONPATH="$root/projects${site:+:$site}${PYTHONPATH:+:$PYTHONPATH}"
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive} GPU_CHECK_FROM=$PWD
cd "$root"
exec "$python" -W ignore benchmarks/gpu_check.py ${arguments[@]+"${arguments[@]}"}
