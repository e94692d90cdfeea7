"""What runs on the board: POSIX shell for dash and busybox alike. Arguments arrive as "$1" ..., lists on stdin.

Every script that changes something checks first that the lock is still its own: a script that outlives its connection
must not meddle with the next flash. ``mv -T`` and ``test -ef`` are beyond POSIX; coreutils and busybox have both.

A power cut may come between any two commands. So whatever gets its final name is on the disk before (``sync`` of the
file, then of the directory that names it), and ``journal`` says what is under way from the survey to the end: the next
survey finishes what ``current`` points to already and undoes the rest. It never moves ``current`` itself. A ``sync``
too old to take names settles the whole disk, which is as good.
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

_WRITE_JOURNAL = """
write_journal() {
  printf '%s\\n' "$@" > ".journal-$token"
  sync ".journal-$token"
  mv -fT ".journal-$token" journal
  sync .
}
"""

# time action from to host-as-JSON
_ADD_HISTORY = """
add_history() {
  # A power cut may have left half a line: start a new one.
  if [ -s history.jsonl ] && [ -n "$(tail -c 1 history.jsonl)" ]; then echo >> history.jsonl; fi
  if [ -n "$3" ]; then before=\\"$3\\"; else before=null; fi
  printf '{"time":"%s","action":"%s","from":%s,"to":"%s","host":%s}\\n' \\
    "$1" "$2" "$before" "$4" "$5" >> history.jsonl
  sync history.jsonl .
}
"""

_NOW = "$(date -u +%Y-%m-%dT%H:%M:%SZ)"

# The boot's id and the seconds since, which no wrong clock disturbs.
_READ_BOOT = """
boot='' uptime=''
if [ -r /proc/sys/kernel/random/boot_id ]; then read -r boot < /proc/sys/kernel/random/boot_id; fi
if [ -r /proc/uptime ]; then read -r uptime rest < /proc/uptime; fi
uptime=${uptime%%.*}
"""

# Sets restarted (the lock is older than the board's last start) and age, in seconds or "-".
_READ_LOCK = """
read_lock() {
  held_boot='' held_uptime='' restarted=no age=-
  if [ -f lock/boot ]; then read -r held_boot held_uptime < lock/boot || true; fi
  if [ -n "$held_boot" ] && [ -n "$boot" ]; then
    if [ "$held_boot" != "$boot" ]; then restarted=yes; else age=$((uptime - held_uptime)); fi
  fi
}
"""

# A lock gets its name with its note inside, by a rename that fails where somebody has it.
_TAKE_LOCK = """
take_lock() {
  mkdir -p ".lock-$token" &&
    printf '%s\\n' "$token" > ".lock-$token/token" &&
    printf '%s\\n' "$owner" > ".lock-$token/owner" &&
    printf '%s %s\\n' "$boot" "$uptime" > ".lock-$token/boot" &&
    sync ".lock-$token/token" ".lock-$token/owner" ".lock-$token/boot" ".lock-$token" &&
    [ ! -d lock ] && mv -T ".lock-$token" lock
}
say_busy() {
  read_lock
  printf 'busy %s %s\\n' "$age" "$(cat lock/owner 2>/dev/null || true)"
  exit 0
}
trap 'rm -rf ".lock-$token"' EXIT
trap 'exit 1' HUP INT TERM
if take_lock; then
  :
elif [ ! -d lock ]; then
  # Neither held nor taken: say why.
  take_lock
else
  holder=$(cat lock/token 2>/dev/null || true)
  read_lock
  if [ "$breaking" != any ] && [ "$restarted" = no ] && { [ -z "$breaking" ] || [ "$holder" != "$breaking" ]; }; then
    say_busy
  fi
  if mv -T lock ".broken-$token" 2>/dev/null &&
    [ "$(cat ".broken-$token/token" 2>/dev/null || true)" != "$holder" ]; then
    # Somebody else was faster: this is the lock of the living.
    mv -T ".broken-$token" lock
    say_busy
  fi
  rm -rf ".broken-$token"
  take_lock || say_busy
fi
trap 'rm -rf lock' EXIT
"""

# Finishes or undoes what the journal says was under way; a release that arrived and is asked for again stays.
_RECOVER = """
was_active() {
  awk -v to="\\"to\\":\\"$1\\"" 'index($0, to) { found = 1 } END { exit !found }' history.jsonl 2>/dev/null
}
if [ -f journal ]; then
  j_action='' j_to='' j_from='' j_time='' j_host=''
  while read -r key value; do
    case $key in
      action) j_action=$value ;;
      to) j_to=$value ;;
      from) j_from=$value ;;
      time) j_time=$value ;;
      host) j_host=$value ;;
    esac
  done < journal
  case $j_to in *[!0-9a-f]*) j_to='' ;; esac
  if [ -z "$j_to" ]; then
    outcome=unreadable
  elif [ "$(readlink current 2>/dev/null || true)" = "releases/$j_to" ]; then
    outcome=finished
    case $(tail -n 1 history.jsonl 2>/dev/null || true) in
      *"\\"to\\":\\"$j_to\\""*"}") ;;
      *) if [ "$j_from" != "$j_to" ]; then add_history "$j_time" "$j_action" "$j_from" "$j_to" "$j_host"; fi ;;
    esac
  elif [ "$j_to" = "$digest" ]; then
    outcome=resumed
  else
    outcome=undone
    if [ "$j_action" = flash ] && [ -d "releases/$j_to" ] && ! was_active "$j_to"; then
      mv -T "releases/$j_to" "releases/.old-$token"
    fi
  fi
  printf 'recovered %s %s %s\\n' "$outcome" "$j_action" "$j_to"
fi
rm -rf releases/.new-* releases/.old-* releases/*/.link-* .current-* .journal-* .lock-* .broken-*
"""

# A file in the store that no release links to has exactly one name.
_COLLECT_GARBAGE = """
ls -ln store | awk '$1 ~ /^-/ && $2 == 1 { print $NF }' | while read -r name; do
  rm -f "store/$name"
done
"""

# directory app token owner breaking digest count host-as-JSON; stdin: SHA x|- PATH for each file of the release
SURVEY = (
    _START
    + _FIND_ROOT
    + """
token=$3 owner=$4 breaking=$5 digest=$6 count=$7 host=$8
if [ ! -d "$root/store" ] || [ ! -d "$root/releases" ]; then
  mkdir -p "$root/store" "$root/releases"
  # Directories above may be closed to this user.
  for parent in "$root" "$root/.." "$root/../.."; do sync "$parent" 2>/dev/null || true; done
fi
cd "$root"
"""
    + _READ_BOOT
    + _READ_LOCK
    + _TAKE_LOCK
    + _WRITE_JOURNAL
    + _ADD_HISTORY
    + _RECOVER
    + f"""
from=$(readlink current 2>/dev/null || true)
printf 'root %s\\n' "$(pwd)"
printf 'current %s\\n' "$from"

intact=no
if [ -d "releases/$digest" ]; then intact=yes; fi
seen=0
while read -r sha executable path; do
  seen=$((seen + 1))
  actual=''
  if [ -f "store/$sha" ]; then
    actual=$(sha256sum < "store/$sha")
    if [ "${{actual%% *}}" = "$sha" ]; then printf 'have %s\\n' "$sha"; else intact=no; fi
    if [ "$executable" = x ] && [ ! -x "store/$sha" ]; then intact=no; fi
  fi
  [ "releases/$digest/$path" -ef "store/$sha" ] || intact=no
  if [ "${{actual%% *}}" = "$sha" ]; then continue; fi
  # What an earlier flash sent of this file before it was cut off.
  own=store/.incoming-$token-$sha
  for part in store/.incoming-*-"$sha"; do
    if [ -f "$part" ] && [ "$part" != "$own" ]; then mv -f "$part" "$own"; fi
  done
  if [ -f "$own" ]; then
    actual=$(sha256sum < "$own")
    printf 'partial %s %s %s\\n' "$sha" "$(($(wc -c < "$own")))" "${{actual%% *}}"
  fi
done
if [ "$seen" -ne "$count" ]; then
  echo "the list of files was cut short: $seen of $count" >&2
  exit 1
fi
for part in store/.incoming-*; do
  case $part in "store/.incoming-$token-"*) ;; *) rm -f "$part" ;; esac
done
printf 'intact %s\\n' "$intact"
df -Pk . | awk 'END {{ print "disk-free-kib", $(NF - 2) }}'
awk '/^(MemAvailable|MemFree|Cached):/ {{ print "memory", $1, $2 }}' /proc/meminfo
for release in releases/*; do
  if [ -d "$release" ]; then printf 'release %s\\n' "${{release#releases/}}"; fi
done
if [ -f history.jsonl ]; then tail -n 200 history.jsonl | awk '{{ print "history", $0 }}'; fi
if [ "$digest" = - ]; then
  rm -f journal
else
  write_journal "action flash" "to $digest" "from ${{from#releases/}}" "time {_NOW}" "host $host"
fi
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
set --
while read -r sha mode state path; do
  if [ "$state" = new ]; then set -- "$@" "store/.incoming-$token-$sha"; fi
done < lock/files
if [ $# -gt 0 ]; then sync "$@"; fi
target=releases/$digest
if [ ! -d "$target" ]; then
  target=releases/.new-$token
  mkdir "$target"
fi
set -- store "$target"
while read -r sha mode state path; do
  if [ "$state" = new ]; then mv -f "store/.incoming-$token-$sha" "store/$sha"; fi
  case $mode in *[1357]*) chmod "$mode" "store/$sha"; set -- "$@" "store/$sha" ;; esac
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
)

# root token digest action host-as-JSON [release to drop ...]
ACTIVATE = (
    _START
    + _CHECK_LOCK
    + _WRITE_JOURNAL
    + _ADD_HISTORY
    + f"""
digest=$3 action=$4 host=$5
shift 5
if [ ! -d "releases/$digest" ]; then
  echo "releases/$digest is gone" >&2
  exit 1
fi
from=$(readlink current 2>/dev/null || true)
from=${{from#releases/}}
now={_NOW}
if [ "$from" != "$digest" ]; then
  write_journal "action $action" "to $digest" "from $from" "time $now" "host $host"
  sync store "releases/$digest" releases
  ln -s "releases/$digest" ".current-$token"
  mv -fT ".current-$token" current
  sync .
fi
echo switched
trap 'rm -rf lock' EXIT
if [ "$from" != "$digest" ]; then add_history "$now" "$action" "$from" "$digest" "$host"; fi
for old in "$@"; do
  if [ "$old" = "$digest" ] || [ "$old" = "$from" ]; then continue; fi
  mv -T "releases/$old" "releases/.old-$old"
  rm -rf "releases/.old-$old"
done
"""
    + _COLLECT_GARBAGE
    + """
rm -f journal
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
    + """
rm -f journal
"""
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
"""
    + _READ_BOOT
    + _READ_LOCK
    + """
printf 'current %s\\n' "$(readlink current 2>/dev/null || true)"
if [ -f journal ]; then awk '{ print "journal-" $0 }' journal; fi
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
