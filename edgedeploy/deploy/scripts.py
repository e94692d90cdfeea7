"""What runs on the board: POSIX shell for dash and busybox alike. Arguments arrive as "$1" ..., lists on stdin.

Every script that changes something checks first that the lock is still its own: a script that outlives its connection
must not meddle with the next flash. ``mv -T`` and ``test -ef`` are beyond POSIX; coreutils and busybox have both.
"""

from __future__ import annotations

LOCK_LOST_STATUS = 75

# LC_ALL: messages are recognised by their English text.
_START = """
set -eu
umask 022
LC_ALL=C
export LC_ALL
"""

_FIND_ROOT = """
directory=$1 app=$2
case $directory in
  "~") directory=$HOME ;;
  "~/"*) directory=$HOME/${directory#"~/"} ;;
esac
root=$directory/$app
if [ -e "$HOME/.edgedeploy/.trust/keys" ] || [ -L "$HOME/.edgedeploy/.trust/keys" ]; then echo trust; fi
"""

_CHECK_LOCK = f"""
root=$1 token=$2
cd "$root"
if [ "$(cat lock/token 2>/dev/null || true)" != "$token" ]; then
  echo "the lock is no longer held by this flash" >&2
  exit {LOCK_LOST_STATUS}
fi
"""

# A file in the store that no release links to has exactly one name.
_COLLECT_GARBAGE = """
ls -ln store | awk '$1 ~ /^-/ && $2 == 1 { print $NF }' | while read -r name; do
  rm -f "store/$name"
done
"""

# directory app token owner breaking digest count; stdin: SHA x|- PATH for each file of the release
SURVEY = (
    _START
    + _FIND_ROOT
    + """
token=$3 owner=$4 breaking=$5 digest=$6 count=$7
mkdir -p "$root/store" "$root/releases"
cd "$root"
if ! mkdir lock 2>/dev/null; then
  [ -d lock ] || mkdir lock
  holder=$(cat lock/token 2>/dev/null || true)
  if [ "$breaking" != any ] && { [ -z "$breaking" ] || [ "$holder" != "$breaking" ]; }; then
    printf 'busy %s\\n' "$(cat lock/owner 2>/dev/null || true)"
    exit 0
  fi
  rm -rf lock
  mkdir lock
fi
trap 'rm -rf lock' EXIT
trap 'exit 1' HUP INT TERM
printf '%s\\n' "$token" > lock/token
printf '%s\\n' "$owner" > lock/owner
rm -rf store/.incoming-* releases/.new-* releases/.old-* .current-*

printf 'root %s\\n' "$(pwd)"
printf 'current %s\\n' "$(readlink current 2>/dev/null || true)"
df -Pk . | awk 'END { print "disk-free-kib", $(NF - 2) }'
awk '/^(MemAvailable|MemFree|Cached):/ { print "memory", $1, $2 }' /proc/meminfo

intact=no
if [ -d "releases/$digest" ]; then intact=yes; fi
seen=0
while read -r sha executable path; do
  seen=$((seen + 1))
  if [ -f "store/$sha" ]; then
    actual=$(sha256sum < "store/$sha")
    if [ "${actual%% *}" = "$sha" ]; then printf 'have %s\\n' "$sha"; else intact=no; fi
    if [ "$executable" = x ] && [ ! -x "store/$sha" ]; then intact=no; fi
  fi
  [ "releases/$digest/$path" -ef "store/$sha" ] || intact=no
done
if [ "$seen" -ne "$count" ]; then
  echo "the list of files was cut short: $seen of $count" >&2
  exit 1
fi
printf 'intact %s\\n' "$intact"
for release in releases/*; do
  if [ -d "$release" ]; then printf 'release %s\\n' "${release#releases/}"; fi
done
if [ -f history.jsonl ]; then tail -n 200 history.jsonl | awk '{ print "history", $0 }'; fi
echo end
trap - EXIT
"""
)

# root token digest count; stdin: SHA MODE new|have PATH for each file of the release
STORE = (
    _START
    + _CHECK_LOCK
    + """
digest=$3 count=$4
cat > lock/files
if [ "$(wc -l < lock/files)" -ne "$count" ]; then
  echo "the list of files was cut short" >&2
  exit 1
fi
damaged=no
while read -r sha mode state path; do
  [ "$state" = new ] || continue
  actual=$(sha256sum < "store/.incoming-$token-$sha")
  if [ "${actual%% *}" != "$sha" ]; then
    printf 'mismatch %s %s %s\\n' "$sha" "${actual%% *}" "$path"
    damaged=yes
  fi
done < lock/files
if [ "$damaged" = yes ]; then exit 0; fi
sync
target=releases/$digest
if [ ! -d "$target" ]; then
  target=releases/.new-$token
  mkdir "$target"
fi
while read -r sha mode state path; do
  if [ "$state" = new ]; then mv -f "store/.incoming-$token-$sha" "store/$sha"; fi
  case $mode in *[1357]*) chmod "$mode" "store/$sha" ;; esac
  case $path in */*) mkdir -p "$target/${path%/*}" ;; esac
  # mv refuses to replace a file by another name of itself.
  if [ "$target/$path" -ef "store/$sha" ]; then continue; fi
  ln "store/$sha" "$target/.link-$token"
  mv -fT "$target/.link-$token" "$target/$path"
done < lock/files
if [ "$target" != "releases/$digest" ]; then mv -T "$target" "releases/$digest"; fi
echo stored
"""
)

# root token digest action host-as-JSON [release to drop ...]
ACTIVATE = (
    _START
    + _CHECK_LOCK
    + """
digest=$3 action=$4 host=$5
shift 5
trap 'rm -rf lock' EXIT
if [ ! -d "releases/$digest" ]; then
  echo "releases/$digest is gone" >&2
  exit 1
fi
from=$(readlink current 2>/dev/null || true)
from=${from#releases/}
if [ "$from" != "$digest" ]; then
  sync
  ln -s "releases/$digest" ".current-$token"
  mv -fT ".current-$token" current
  echo switched
  # A power cut may have left half a line: start a new one.
  if [ -s history.jsonl ] && [ -n "$(tail -c 1 history.jsonl)" ]; then echo >> history.jsonl; fi
  if [ -n "$from" ]; then before=\\"$from\\"; else before=null; fi
  printf '{"time":"%s","action":"%s","from":%s,"to":"%s","host":%s}\\n' \\
    "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$action" "$before" "$digest" "$host" >> history.jsonl
else
  echo switched
fi
for old in "$@"; do
  if [ "$old" = "$digest" ] || [ "$old" = "$from" ]; then continue; fi
  mv -T "releases/$old" "releases/.old-$old"
  rm -rf "releases/.old-$old"
done
"""
    + _COLLECT_GARBAGE
    + """
echo cleaned
"""
)

# root token digest-of-the-release-to-remove-or-dash
ABANDON = (
    _START
    + _CHECK_LOCK
    + """
digest=$3
trap 'rm -rf lock' EXIT
rm -rf store/.incoming-"$token"-* releases/.new-"$token" ".current-$token" releases/*/.link-"$token"
if [ "$digest" != - ] && [ -d "releases/$digest" ] &&
   [ "$(readlink current 2>/dev/null || true)" != "releases/$digest" ]; then
  mv -T "releases/$digest" "releases/.old-$token"
  rm -rf "releases/.old-$token"
fi
"""
    + _COLLECT_GARBAGE
)

# directory app; changes nothing
STATUS = (
    _START
    + _FIND_ROOT
    + """
printf 'root %s\\n' "$root"
if ! cd "$root" 2>/dev/null; then
  echo end
  exit 0
fi
printf 'current %s\\n' "$(readlink current 2>/dev/null || true)"
if [ -d store ]; then ls -ln store | awk '$1 ~ /^-/ { sum += $5 } END { printf "store-bytes %d\\n", sum }'; fi
for release in releases/*; do
  [ -d "$release" ] || continue
  printf 'release %s\\n' "${release#releases/}"
  if [ -f "$release/manifest.json" ]; then
    printf 'manifest %s ' "${release#releases/}"
    tr -d '\\n' < "$release/manifest.json"
    echo
  fi
done
if [ -f history.jsonl ]; then tail -n 200 history.jsonl | awk '{ print "history", $0 }'; fi
echo end
"""
)


def command(name: str, script: str, *arguments: str) -> list[str]:
    """Return the command that runs a script with arguments; its first line names it in errors and process lists."""
    return ["sh", "-c", f"# edgedeploy {name}{script}", "edgedeploy", *arguments]
