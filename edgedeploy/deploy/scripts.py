"""What runs on the board: POSIX shell for dash and busybox alike. Arguments arrive as "$1" ..., lists on stdin.

Every script that changes something checks first that the lock is still its own: a script that outlives its connection
must not meddle with the next flash. ``mv -T`` and ``test -ef`` are beyond POSIX; coreutils and busybox have both.

A power cut may come between any two commands. So whatever gets its final name is on the disk before (``sync`` of the
file, then of the directory that names it), and ``journal`` says what is under way from the survey to the end: the next
survey finishes what ``current`` points to already and undoes the rest. It moves ``current`` only to carry out a verdict
of the health gate. A ``sync`` too old to take names settles the whole disk, which is as good.
"""

from __future__ import annotations

import shlex

from edgedeploy.deploy.push_scripts import FIND_RECEIVER, RUN_RECEIVER
from edgedeploy.deploy.script_parts import (
    ADD_HISTORY,
    CHECK_LOCK,
    COLLECT_GARBAGE,
    FIND_ROOT,
    HOLD_LOCK,
    NOW,
    READ_BOOT,
    READ_LOCK,
    RECOVER,
    SAY_HEALTH,
    START,
    SWITCH,
    TAKE_LOCK,
    TRUST,
    WRITE_JOURNAL,
)

# directory app token owner breaking digest count host-as-JSON; stdin: SHA x|- PATH for each file of the release
SURVEY = (
    START
    + FIND_ROOT
    + TRUST
    + """
find_list
printf 'trust %s\\n' "$list"
token=$3 owner=$4 breaking=$5 digest=$6 count=$7 host=$8
if [ ! -d "$root/store" ] || [ ! -d "$root/releases" ] || [ ! -d "$root/health" ]; then
  mkdir -p "$root/store" "$root/releases" "$root/health"
  # Directories above may be closed to this user.
  sync "$root" "$root/.." "$root/../.." 2>/dev/null || true
fi
cd "$root"
"""
    + READ_BOOT
    + READ_LOCK
    + HOLD_LOCK
    + TAKE_LOCK
    + WRITE_JOURNAL
    + ADD_HISTORY
    + SWITCH
    + RECOVER
    + FIND_RECEIVER
    + f"""
read_current
from=$active
printf 'root %s\\n' "$(pwd)"
printf 'current %s\\n' "$from"

intact=no
if [ -d "releases/$digest" ]; then intact=yes; fi
listing=$(cat)
set --
while read -r sha executable path; do
  if [ -f "store/$sha" ]; then set -- "$@" "store/$sha"; fi
done <<END_OF_LIST
$listing
END_OF_LIST
sums=''
if [ $# -gt 0 ]; then
  # One process for all files: where the board is slow, starting one takes longer than hashing a small file.
  sums=$(sha256sum "$@" 2>/dev/null || true)
  case $(ls -ln "$@" | awk 'substr($1, 6, 1) == "w" || substr($1, 9, 1) == "w"') in ?*) intact=no ;; esac
fi
seen=0 missing=no have=''
while read -r sha executable path; do
  [ -n "$sha" ] || continue
  seen=$((seen + 1))
  is_there=no
  case $sums in *"$sha  store/$sha"*) is_there=yes ;; esac
  if [ -f "store/$sha" ]; then
    if [ "$is_there" = yes ]; then have="$have $sha"; else intact=no; fi
    if [ "$executable" = x ] && [ ! -x "store/$sha" ]; then intact=no; fi
  fi
  [ "releases/$digest/$path" -ef "store/$sha" ] || intact=no
  if [ "$is_there" = yes ]; then continue; fi
  missing=yes
  # What an earlier flash sent of this file before it was cut off.
  own=store/.incoming-$token-$sha
  for part in store/.incoming-*-"$sha"; do
    if [ -f "$part" ] && [ "$part" != "$own" ]; then mv -f "$part" "$own"; fi
  done
  if [ -f "$own" ]; then
    actual=$(sha256sum < "$own")
    printf 'partial %s %s %s\\n' "$sha" "$(($(wc -c < "$own")))" "${{actual%% *}}"
  fi
done <<END_OF_LIST
$listing
END_OF_LIST
if [ "$seen" -ne "$count" ]; then
  echo "the list of files was cut short: $seen of $count" >&2
  exit 1
fi
for part in store/.incoming-*; do
  case $part in "store/.incoming-$token-"*) ;; *) rm -f "$part" ;; esac
done
if [ "$missing" = yes ]; then
  for sha in $have; do printf 'have %s\\n' "$sha"; done
  find_receiver
else
  echo complete
fi
printf 'intact %s\\n' "$intact"
df -Pk . | {{
  while read -r line; do last=$line; done
  set -f
  # shellcheck disable=SC2086
  set -- $last
  shift $(($# - 3))
  printf 'disk-free-kib %s\\n' "$1"
}}
while read -r key value unit; do
  case $key in MemAvailable: | MemFree: | Cached:) printf 'memory %s %s\\n' "$key" "$value" ;; esac
  if [ "$key" = Cached: ]; then break; fi
done < /proc/meminfo
for release in releases/*; do
  if [ -d "$release" ]; then printf 'release %s\\n' "${{release#releases/}}"; fi
done
if [ -f history.jsonl ]; then tail -n 200 history.jsonl | awk '{{ print "history", $0 }}'; fi
{SAY_HEALTH}
if [ "$digest" = - ]; then
  rm -f journal
else
  write_journal "action flash" "to $digest" "from ${{from#releases/}}" "time {NOW}" "host $host"
fi
echo end
trap - EXIT
"""
)

# directory app token owner digest count host-as-JSON; stdin as for SURVEY. The active release's own program does the
# same in one process, where nothing needs mending.
FAST_SURVEY = (
    START
    + FIND_ROOT
    + """
cd "$root" 2>/dev/null
exec ./current/bin/edgedeploy-runner survey \\
  --root "$PWD" --token "$3" --owner "$4" --digest "$5" --count "$6" --host "$7"
"""
)

# Variables digest and count; stdin: SHA MODE new|have PATH for each file of the release
_STORE = """
cat > lock/files
if [ "$(wc -l < lock/files)" -ne "$count" ]; then
  echo "the list of files was cut short" >&2
  exit 1
fi
set --
while read -r sha mode state path; do
  if [ "$state" = new ]; then set -- "$@" "store/.incoming-$token-$sha"; fi
done < lock/files
if [ $# -gt 0 ]; then
  # One process for all files: where the board is slow, starting one takes longer than hashing a small file.
  sums=$(sha256sum "$@")
  damaged=no
  while read -r sha mode state path; do
    [ "$state" = new ] || continue
    case $sums in *"$sha  store/.incoming-$token-$sha"*) continue ;; esac
    actual=$(sha256sum < "store/.incoming-$token-$sha")
    printf 'mismatch %s %s %s\\n' "$sha" "${actual%% *}" "$path"
    damaged=yes
  done < lock/files
  if [ "$damaged" = yes ]; then exit 0; fi
  sync "$@"
fi
target=releases/$digest
if [ ! -d "$target" ]; then
  target=releases/.new-$token
  mkdir "$target"
fi
set -- store "$target"
while read -r sha mode state path; do
  if [ "$state" = new ]; then mv -f "store/.incoming-$token-$sha" "store/$sha"; fi
  case $state$mode in have* | *[1357]*) chmod "$mode" "store/$sha"; set -- "$@" "store/$sha" ;; esac
  case $path in
    */*)
      parent=${path%/*}
      if [ ! -d "$target/$parent" ]; then mkdir -p "$target/$parent"; fi
      while
        set -- "$@" "$target/$parent"
        [ "$parent" != "${parent%/*}" ]
      do
        parent=${parent%/*}
      done
      ;;
  esac
  # mv refuses to replace a file by another name of itself.
  if [ "$target/$path" -ef "store/$sha" ]; then continue; fi
  if [ ! -e "$target/$path" ]; then
    ln "store/$sha" "$target/$path"
    continue
  fi
  ln "store/$sha" "$target/.link-$token"
  mv -fT "$target/.link-$token" "$target/$path"
done < lock/files
sync "$@"
if [ "$target" != "releases/$digest" ]; then mv -T "$target" "releases/$digest"; fi
sync releases
echo stored
"""

# root token digest count; stdin as for _STORE
STORE = START + CHECK_LOCK + "digest=$3 count=$4\n" + _STORE

# root token digest count receiver new|proven; stdin: the files, then as for _STORE
RECEIVE = START + CHECK_LOCK + "digest=$3 count=$4\nshift 4\n" + RUN_RECEIVER + _STORE

# root token digest-of-the-release-to-remove-or-dash
ABANDON = (
    START
    + CHECK_LOCK
    + """
digest=$3
trap unlock EXIT
rm -rf store/.incoming-"$token"-* releases/.new-"$token" releases/*/.link-"$token"
if [ "$digest" != - ] && [ -d "releases/$digest" ] &&
   [ "$(readlink current 2>/dev/null || true)" != "releases/$digest" ]; then
  mv -T "releases/$digest" "releases/.old-$token"
  rm -rf "releases/.old-$token"
fi
"""
    + COLLECT_GARBAGE
    + """
# After a switch that could not say so, the journal is what the line of history is added by.
# A verdict of the health gate that was not carried out yet stays too.
to=$(awk '$1 == "to" { print $2 }' journal 2>/dev/null || true)
from=$(awk '$1 == "from" { print $2 }' journal 2>/dev/null || true)
action=$(awk '$1 == "action" { print $2 }' journal 2>/dev/null || true)
check_lock
if [ "$action" = automatic-rollback ]; then
  :
elif [ "$to" = "$from" ] || [ "$(readlink current 2>/dev/null || true)" != "releases/$to" ]; then rm -f journal; fi
"""
)

# directory app; changes nothing
STATUS = (
    START
    + FIND_ROOT
    + """
printf 'root %s\\n' "$root"
if ! cd "$root" 2>/dev/null; then
  echo end
  exit 0
fi
"""
    + READ_BOOT
    + READ_LOCK
    + """
printf 'current %s\\n' "$(readlink current 2>/dev/null || true)"
# Under a command at work, what was there a moment ago may be gone.
if [ -f journal ]; then awk '{ print "journal-" $0 }' journal 2>/dev/null || true; fi
if [ -d lock ]; then
  read_lock
  if [ "$restarted" = no ]; then printf 'lock %s %s\\n' "$age" "$(cat lock/owner 2>/dev/null || true)"; fi
fi
if [ -d store ]; then ls -ln store | awk '$1 ~ /^-/ { sum += $5 } END { printf "store-bytes %d\\n", sum }'; fi
for release in releases/*; do
  [ -d "$release" ] || continue
  printf 'release %s\\n' "${release#releases/}"
  if [ -f "$release/manifest.json" ]; then
    printf 'manifest %s ' "${release#releases/}"
    tr -d '\\n' < "$release/manifest.json" || true
    echo
  fi
done
if [ -f history.jsonl ]; then tail -n 200 history.jsonl | awk '{ print "history", $0 }'; fi
"""
    + SAY_HEALTH
    + """
echo end
"""
)


def command(name: str, script: str, *arguments: str) -> str:
    """Return the command that runs a script with arguments; its first line names it in errors and process lists.

    Comments and indentation stay here.
    """
    lines = (line.lstrip() for line in script.split("\n"))
    text = "\n".join(line for line in lines if line and not line.startswith("#"))
    return f"# edgedeploy {name}\nset -- {shlex.join(arguments)}\n{text}\n"
