#!/usr/bin/env bash
# Restores one snapshot without xopero: age, zstd, jq and git (Debian: apt install age zstd jq git) are enough.
#
#   stock_tools.sh IDENTITY DESTINATION SNAPSHOT TARGET
#
#   IDENTITY     the age identity that opens the backups, such as backup.txt
#   DESTINATION  the directory of the backups: the one with xopero.json in it
#   SNAPSHOT     a snapshot's file below it: servers/<server>/repos/<number>/snapshots/<id>.json.zst.age
#                (ids are sorted by time: the last one of a repository is the newest)
#   TARGET       the bare repository to make; it must not exist
set -euo pipefail
export LC_ALL=C

for tool in age zstd jq git sha256sum; do
    command -v "$tool" > /dev/null || { echo "stock_tools.sh: $tool is not installed" >&2; exit 69; }
done
[ $# -eq 4 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 64; }
identity=$1 destination=$2 snapshot=$3 target=$4
[ ! -e "$target" ] || { echo "stock_tools.sh: $target exists" >&2; exit 73; }
umask 077

# The manifest names everything that belongs to the snapshot.
manifest=$(age -d -i "$identity" "$destination/$snapshot" | zstd -d -q | jq .)
ask() { jq -r "$1" <<< "$manifest"; }
[ "$(ask .format)" = 1 ] || { echo "stock_tools.sh: format $(ask .format) is not known" >&2; exit 65; }
[ "$(ask .suspect)" = null ] || echo "stock_tools.sh: warning: suspect, look at the one before it: $(jq -a .suspect <<< "$manifest")" >&2

git init --quiet --bare --template= --object-format="$(ask .git.object_format)" "$target"

# Objects: every pack can be indexed by itself.
ask '.git.packs[] | [.stored_sha256, .key] | @tsv' | while IFS=$'\t' read -r sha256 key; do
    sha256sum --check --quiet <<< "$sha256  $destination/$key"
    age -d -i "$identity" "$destination/$key" | git --git-dir="$target" index-pack --stdin > /dev/null
done

# A name is a string, or {"hex": "..."} if it is not UTF-8: git does not ask for it.
raw() { case $1 in hex:*) printf '%b' "$(sed 's/../\\x&/g' <<< "${1#hex:}")" ;; *) printf '%s' "$1" ;; esac; }
name='if type == "object" then "hex:" + .hex else . end'

# References.
ask ".git.references.tips[] | [.oid, (.name | $name)] | @tsv" | while IFS=$'\t' read -r oid ref; do
    printf 'create %s\0%s\0' "$(raw "$ref")" "$oid"
done | git --git-dir="$target" update-ref --stdin -z

# HEAD: a branch (which may not exist yet), or a commit; unknown if an old server did not tell.
case $(ask .git.references.head.kind) in
    symbolic | unborn) git --git-dir="$target" symbolic-ref HEAD "$(raw "$(ask ".git.references.head.target | $name")")" ;;
    detached) git --git-dir="$target" update-ref --no-deref HEAD "$(ask .git.references.head.oid)" ;;
    unknown) echo "stock_tools.sh: HEAD is not known" >&2 ;;
esac

git --git-dir="$target" fsck --full --no-dangling
