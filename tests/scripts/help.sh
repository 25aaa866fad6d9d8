#!/bin/sh
# Each command of scripts/ prints its description for --help, and does nothing else: help.sh REPOSITORY
# SPDX-License-Identifier: MIT
set -eu
cd "$1"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
printf '#!/bin/sh\necho "$0 $*" >>%s/done\n' "$scratch" >"$scratch/fake"
chmod +x "$scratch/fake"
for tool in apt-get cmake ninja ctest clang-tidy npm mmdebstrap unshare; do ln -s fake "$scratch/$tool"; done
failed=0
for script in scripts/*; do
  case $script in scripts/require | scripts/musl-libraries) continue ;; esac # called by others
  if [ -d "$script" ] || [ "$(head -c 2 "$script")" != '#!' ]; then continue; fi
  PATH=$scratch:$PATH "$script" --help </dev/null >"$scratch/said" 2>&1 || :
  if [ ! -s "$scratch/said" ] || [ -e "$scratch/done" ]; then
    echo "$script --help:"
    cat "$scratch/said"
    [ ! -e "$scratch/done" ] || cat "$scratch/done"
    failed=1
    rm -f "$scratch/done"
  fi
done
exit $failed
