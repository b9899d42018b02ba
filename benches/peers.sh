#!/usr/bin/env bash
#
# Fetches the tools that `bitacora analyze` is compared with, and real source trees to compare on.
#
#   peers.sh PEERS [TREES]
#
# PEERS  gets bin/ (tokei, ast-grep, btm) and python/ (lizard and hyperqueue, importable); universal-ctags is a system
#        package. `compare.py --peers PEERS` finds them there.
# TREES  gets one folder per language (default: PEERS/trees).
#
# Everything comes from package registries, through their own clients. What is there already is
# left alone, so the script can be run again after an interruption.

set -euo pipefail

TOKEI=15.0.0
LIZARD=1.24.3
HYPERQUEUE=0.27.0
AST_GREP=${AST_GREP:-latest}
PYTHON_TREES=(Django==5.2.19 sympy==1.14.0)
# These packages ship their TypeScript sources, not only declarations.
TYPESCRIPT_TREES=(rxjs@7.8.2 viem@2.57.20 ethers@6.17.0 zod@4.6.7 @reduxjs/toolkit@2.14.0)

if [[ $# -lt 1 || $# -gt 2 ]]; then
    echo "usage: $0 PEERS [TREES]" >&2
    exit 2
fi
mkdir -p "$1" "${2:-$1/trees}"
peers=$(cd "$1" && pwd)
trees=$(cd "${2:-$1/trees}" && pwd)
mkdir -p "$peers/bin"
scratch=$(mktemp -d "$trees/.fetch.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

say() { printf '%s\n' "$*" >&2; }

as_root() {
    if [[ $(id -u) -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

# fetch FOLDER COMMAND...: runs the command in an empty folder that becomes FOLDER when it succeeds.
fetch() {
    local folder=$1 work
    shift
    if [[ -d $folder ]]; then
        say "have     $folder"
        return
    fi
    say "fetching $folder"
    work=$(mktemp -d "$scratch/XXXXXX")
    # A plain call: in an `if` or before `||`, `set -e` would not hold inside the command.
    "$@" "$work"
    chmod 755 "$work"
    mkdir -p "$(dirname "$folder")"
    mv "$work" "$folder"
}

# The newest package whose name matches the pattern, by version sort of the names.
newest_package() {
    local name
    name=$(apt-cache pkgnames | { grep -Ex "$1" || true; } | sort -V | tail -n 1)
    [[ -n $name ]] || { say "no package matches $1: is the package list up to date?"; return 1; }
    printf '%s\n' "$name"
}

# Unpacks a Debian package, without installing it, into scratch/NAME.
unpack_package() {
    local download
    download=$(mktemp -d "$scratch/XXXXXX")
    (cd "$download" && apt-get download -q "$1" >&2)
    dpkg-deb -x "$download"/*.deb "$scratch/$1"
}

linux_tree() { # PACKAGE WORK
    unpack_package "$1"
    tar -xf "$scratch/$1/usr/src/$1".tar.* -C "$2" --strip-components=1
}

go_tree() { # PACKAGE WORK
    unpack_package "$1"
    cp -R "$scratch/$1"/usr/share/go-*/src/. "$2"
}

java_tree() { # PACKAGE WORK
    unpack_package "$1"
    python3 -m zipfile -e "$(find "$scratch/$1" -type f -name src.zip)" "$2"
}

python_tree() { # REQUIREMENT WORK
    local download
    download=$(mktemp -d "$scratch/XXXXXX")
    python3 -m pip download -q --no-deps --no-binary :all: -d "$download" "$1" >&2
    tar -xf "$download"/*.tar.gz -C "$2" --strip-components=1
}

npm_tree() { # PACKAGE WORK
    local download
    download=$(mktemp -d "$scratch/XXXXXX")
    (cd "$download" && npm pack --silent "$1" >&2)
    tar -xf "$download"/*.tgz -C "$2" --strip-components=1
}

# The tools.

if ! command -v ctags >/dev/null || ! ctags --version | grep -q 'Universal Ctags'; then
    as_root apt-get install -y -q universal-ctags
fi

if [[ $("$peers/bin/tokei" --version 2>/dev/null) != "tokei $TOKEI"* ]]; then
    cargo install --locked tokei --version "$TOKEI" --root "$peers"
fi

# lizard has to be in this folder: one that is installed elsewhere does not count.
if [[ ! -d "$peers/python/lizard-$LIZARD.dist-info" ]]; then
    rm -rf "$peers/python"
    python3 -m pip install -q --target "$peers/python" "lizard==$LIZARD"
fi

# Beside sparks, in fleet.py; beside the dashboard, in terminal.py.
if [[ ! -d "$peers/python/hyperqueue-$HYPERQUEUE.dist-info" ]]; then
    python3 -m pip install -q --target "$peers/python" "hyperqueue==$HYPERQUEUE"
fi
if ! "$peers/bin/btm" --version >/dev/null 2>&1; then
    cargo install --locked bottom --root "$peers"
fi

if ! "$peers/bin/ast-grep" --version >/dev/null 2>&1; then
    npm install --silent --no-fund --no-audit --prefix "$peers/npm" "@ast-grep/cli@$AST_GREP"
    ln -sf ../npm/node_modules/.bin/ast-grep "$peers/bin/ast-grep"
fi

# The trees.

linux=$(newest_package 'linux-source-[0-9]+\.[0-9]+')
fetch "$trees/c/$linux" linux_tree "$linux"

go=$(newest_package 'golang-[0-9]+\.[0-9]+-src')
fetch "$trees/go/$go" go_tree "$go"

java=$(newest_package 'openjdk-[0-9]+-source')
fetch "$trees/java/$java" java_tree "$java"

for requirement in "${PYTHON_TREES[@]}"; do
    fetch "$trees/python/${requirement/==/-}" python_tree "$requirement"
done

for package in "${TYPESCRIPT_TREES[@]}"; do
    name=${package#@}
    fetch "$trees/typescript/${name//[\/@]/-}" npm_tree "$package"
done

registry=${CARGO_HOME:-$HOME/.cargo}/registry/src
if [[ -d $registry ]]; then
    ln -sfn "$registry" "$trees/rust"
else
    say "no $registry yet: build something with cargo, then run this again"
fi

say "tools: $(ctags --version | head -n 1)"
say "tools: $("$peers/bin/tokei" --version)"
say "tools: lizard $(PYTHONPATH="$peers/python" python3 -c 'import lizard; print(lizard.version)')"
say "tools: $("$peers/bin/ast-grep" --version)"
du -shL "$trees"/*/ >&2
