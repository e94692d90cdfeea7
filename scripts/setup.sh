#!/usr/bin/env bash
# Installs what `make demo` and `make test` need: Debian packages, the virtual environment .venv, edgedeploy in it.
# Usage: scripts/setup.sh demo|test. Skips what is done; a second run takes a moment.
set -euo pipefail

goal=${1:?usage: scripts/setup.sh demo|test}
python=${PYTHON:-python3}
cd "$(dirname "$0")/.."

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# A package is needed where the program or file that it brings is missing.
needed=()
need() { # need PACKAGE FILE...: one of the files is enough
  local package=$1; shift
  local file
  for file in "$@"; do
    [ -e "$file" ] && return
    [[ $file == /* ]] || ! command -v "$file" >/dev/null || return 0
  done
  needed+=("$package")
}

host_libraries=/usr/lib/$(uname -m)-linux-gnu
need g++ g++
need git git
need qemu-system-arm qemu-system-aarch64
need qemu-user qemu-aarch64
need qemu-utils qemu-img
need mmdebstrap mmdebstrap
need debian-archive-keyring /usr/share/keyrings/debian-archive-keyring.gpg
need gpg gpg
need fakeroot fakeroot
need e2fsprogs mke2fs /sbin/mke2fs /usr/sbin/mke2fs
need openssh-client ssh
need g++-aarch64-linux-gnu aarch64-linux-gnu-g++
need libgl1 "$host_libraries/libGL.so.1"
need libglib2.0-0 "$host_libraries/libgthread-2.0.so.0"
command -v "$python" >/dev/null || fail "there is no $python; install python3 (3.11 or newer)"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "$python is $("$python" --version); edgedeploy needs 3.11 or newer (choose one with: make $goal PYTHON=python3.12)"
"$python" -c 'import ensurepip, venv' 2>/dev/null || needed+=(python3-venv)
"$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
  needed+=(python3-dev)
if [ "$goal" = test ]; then
  need openssh-server /usr/sbin/sshd
  need busybox-static busybox
  need llvm-19 llvm-mca-19
fi

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else fail "these Debian packages are missing and there is no sudo: ${needed[*]}"
  fi
}

if [ "${#needed[@]}" -gt 0 ]; then
  command -v apt-get >/dev/null || fail "install these packages by hand: ${needed[*]}"
  say "Installing Debian packages: ${needed[*]}"
  as_root apt-get update
  # The tests start an OpenSSH server of their own on loopback; the system's service is left off.
  keep_ssh_off=false
  [[ " ${needed[*]} " == *" openssh-server "* ]] && keep_ssh_off=true
  as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y --no-install-recommends "${needed[@]}"
  if $keep_ssh_off && [ -d /run/systemd/system ]; then
    as_root systemctl disable --now ssh.service ssh.socket 2>/dev/null || true
  fi
fi

extra=""
[ "$goal" = test ] && extra="[test]"
# What the environment was made from; the native module is part of it.
fingerprint=$({ echo "$python" "$("$python" --version)" "$PWD"; cat pyproject.toml constraints.txt setup.py CMakeLists.txt
  find csrc -path csrc/runner -prune -o -path csrc/layers -prune -o -type f ! -name '*.so' ! -name '*.pyc' -print0 |
    sort -z | xargs -0 cat; } | sha256sum | cut -d' ' -f1)
done_for() { [ -f ".venv/.edgedeploy-$1" ] && [ "$(cat ".venv/.edgedeploy-$1")" = "$fingerprint" ]; }

if ! done_for "$goal"; then
  if [ ! -x .venv/bin/python ]; then
    say "Creating the virtual environment .venv"
    "$python" -m venv .venv
  fi
  say "Installing edgedeploy${extra} into .venv"
  .venv/bin/python -m pip install --disable-pip-version-check --constraint constraints.txt 'pip>=24' --quiet
  PIP_CONSTRAINT=$PWD/constraints.txt .venv/bin/python -m pip install --disable-pip-version-check \
    --progress-bar on --editable ".${extra}"
  printf '%s' "$fingerprint" >".venv/.edgedeploy-$goal"
  [ "$goal" = test ] && printf '%s' "$fingerprint" >.venv/.edgedeploy-demo
fi
say "Set-up is complete"
