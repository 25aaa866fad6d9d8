#!/bin/sh
# scripts/build with the options of docs/building.md that leave parts out: each configuration can be built: build.sh
# REPOSITORY CMAKE. A folder that was moved with its build folder is not built, because that names the former place.
# CMake configures; then ninja lists the commands of the targets instead of running them. Nothing is written into the
# repository. The configurations share a folder, in which CMake has examined the compiler once; options of vestry do not
# stay in it.
# SPDX-License-Identifier: MIT
set -eu
repository=$1
cmake=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/bin" "$scratch/top"
cd "$scratch/top"
for entry in "$repository"/*; do
  case ${entry##*/} in
  build* | scripts) ;;
  *) ln -s "$entry" . ;;
  esac
done
cp -r "$repository/scripts" .
printf '#!/bin/sh\n' >scripts/require # installs nothing
cat >"$scratch/bin/cmake" <<END
#!/bin/sh
[ "\$1" = --build ] || exec "$cmake" -U 'VESTRY_*' -DVESTRY_TESTS=OFF "\$@"
shift 3 # --build build --target
exec ninja -C build -t commands "\$@"
END
chmod +x "$scratch/bin/cmake"

builds() { # HAS_EXAMPLES OPTION…
  has_examples=$1
  shift
  if ! PATH="$scratch/bin:$PATH" scripts/build "$@" >"$scratch/said" 2>&1; then
    tail -n 20 "$scratch/said"
    echo "scripts/build $* fails."
    exit 1
  fi
  if grep -o -- ' -lvestry[a-z_]*' "$scratch/said"; then
    echo "scripts/build $*: these names are no targets."
    exit 1
  fi
  has=no
  if grep -q 'bin/counter' "$scratch/said"; then has=yes; fi
  if [ $has != "$has_examples" ]; then
    echo "scripts/build $*: are the examples built? $has"
    exit 1
  fi
}
none="-DVESTRY_CIVETWEB=OFF -DVESTRY_MICROHTTPD=OFF -DVESTRY_SQLITE=OFF -DVESTRY_POSTGRES=OFF -DVESTRY_NATS=OFF"
builds yes -DVESTRY_SQLITE=OFF -DVESTRY_POSTGRES=OFF -DVESTRY_NATS=OFF -DVESTRY_PROBES=OFF
builds no -DVESTRY_EXAMPLES=OFF
builds no -DVESTRY_CIVETWEB=OFF
# shellcheck disable=SC2086 # a list of words
builds no $none -DVESTRY_BROTLI=OFF -DVESTRY_GZIP=OFF -DVESTRY_SCRIPTS=OFF -DVESTRY_EXAMPLES=OFF
builds no -DVESTRY_MINIMAL=ON
builds no -DVESTRY_MINIMAL=ON -DVESTRY_MICROHTTPD=ON -DVESTRY_SQLITE=ON -DVESTRY_BROTLI=ON
builds yes --only "counter vestry-bench" -DVESTRY_NATS=OFF
builds no --only vestry-bench

is_refused() { # HOW SCRIPT…
  how=$1
  shift
  for script; do
    if PATH="$scratch/bin:$PATH" "$script" >"$scratch/said" 2>&1 || ! grep -q "remove it: rm -r '" "$scratch/said"; then
      tail -n 20 "$scratch/said"
      echo "$script in a folder that was $how: builds the former sources, or names no remedy."
      exit 1
    fi
  done
}
# All scripts that build; scripts/dev runs scripts/build, too, and shows its message in the page.
all="scripts/build scripts/test scripts/tidy scripts/demo scripts/demo-cluster scripts/picture scripts/soak"
for script in scripts/bench-*; do
  [ "$script" = scripts/bench-common ] || all="$all $script"
done
mv "$scratch/top" "$scratch/moved"
cd "$scratch/moved"
is_refused moved scripts/build
cp -r "$scratch/moved" "$scratch/top"
# shellcheck disable=SC2086 # a list of words
is_refused copied $all
cd "$scratch/top"
builds no -DVESTRY_MINIMAL=ON
