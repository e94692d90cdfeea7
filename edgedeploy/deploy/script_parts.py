"""Pieces of the scripts that run on the board: the app, trusted keys, lock, journal, history, recovery, garbage."""

from __future__ import annotations

LOCK_LOST_STATUS = 75

# LC_ALL: messages are recognised by their English text.
START = """
set -eu
umask 022
LC_ALL=C
export LC_ALL
"""

FIND_ROOT = """
directory=$1 app=$2
case $directory in
  "~") directory=$HOME ;;
  "~/"*) directory=$HOME/${directory#"~/"} ;;
esac
root=$directory/$app
"""

# Sets list: the SHA-256 of the list of trusted keys, "-" where there is none, "unreadable" for all else. Only a list
# that is certainly not there is none.
TRUST = """
trust=$HOME/.edgedeploy/.trust
find_list() {
  list=unreadable
  if [ -f "$trust/keys" ]; then
    list=$(sha256sum 2>/dev/null < "$trust/keys") || list=unreadable
    list=${list%% *}
    return 0
  fi
  case $(ls -d "$trust/keys" 2>&1 || true) in
    *": No such file or directory") if [ ! -L "$trust" ]; then list=-; fi ;;
  esac
}
"""

# What a script that has outlived its connection must not do once somebody else holds the lock.
HOLD_LOCK = f"""
# Sets holder: whose lock it is, empty where nobody has it; by the shell alone, for it is asked often.
read_token() {{
  holder=''
  {{ read -r holder < lock/token; }} 2>/dev/null || true
}}
check_lock() {{
  read_token
  if [ "$holder" != "$token" ]; then
    echo "the lock is no longer held by this flash" >&2
    exit {LOCK_LOST_STATUS}
  fi
}}
unlock() {{
  read_token
  if [ "$holder" = "$token" ]; then rm -rf lock; fi
}}
# Sets active: what current points to, empty where it is none.
read_current() {{
  active=''
  if [ -L current ]; then active=$(readlink current 2>/dev/null || true); fi
}}
"""

CHECK_LOCK = (
    HOLD_LOCK
    + """
root=$1 token=$2
cd "$root"
check_lock
"""
)

# What is renamed out of the lock goes with the lock: whoever takes that over has the rename fail, at whatever moment.
WRITE_JOURNAL = """
write_journal() {
  printf '%s\\n' "$@" > "lock/journal-$token"
  sync "lock/journal-$token"
  check_lock
  mv -fT "lock/journal-$token" journal
  sync .
}
"""

# Puts a release in the place of current, or nothing where it is given "-".
SWITCH = """
switch_to() {
  if [ "$1" = - ]; then
    check_lock
    mv -fT current "lock/gone-$token"
  else
    ln -s "releases/$1" "lock/current-$token"
    check_lock
    mv -fT "lock/current-$token" current
  fi
  sync .
}
"""

# time action from to|- host-as-JSON [reason]
ADD_HISTORY = """
add_history() {
  # A power cut may have left half a line: start a new one.
  if [ -s history.jsonl ] && [ -n "$(tail -c 1 history.jsonl)" ]; then echo >> history.jsonl; fi
  if [ -n "$3" ]; then before=\\"$3\\"; else before=null; fi
  if [ "$4" = - ]; then after=null; else after=\\"$4\\"; fi
  if [ -n "${6-}" ]; then why=,\\"reason\\":\\"$6\\"; else why=''; fi
  printf '{"time":"%s","action":"%s","from":%s,"to":%s,"host":%s%s}\\n' \\
    "$1" "$2" "$before" "$after" "$5" "$why" >> history.jsonl
  sync history.jsonl .
}
"""

NOW = "$(date -u +%Y-%m-%dT%H:%M:%SZ)"

# The boot's id and the seconds since, which no wrong clock disturbs.
READ_BOOT = """
boot='' uptime=''
if [ -r /proc/sys/kernel/random/boot_id ]; then read -r boot < /proc/sys/kernel/random/boot_id; fi
if [ -r /proc/uptime ]; then read -r uptime rest < /proc/uptime; fi
uptime=${uptime%%.*}
"""

# Sets restarted (the lock is older than the board's last start) and age, in seconds or "-".
READ_LOCK = """
read_lock() {
  held_boot='' held_uptime='' restarted=no age=-
  if [ -f lock/boot ]; then read -r held_boot held_uptime < lock/boot || true; fi
  if [ -n "$held_boot" ] && [ -n "$boot" ]; then
    if [ "$held_boot" != "$boot" ]; then restarted=yes; else age=$((uptime - held_uptime)); fi
  fi
}
"""

# A lock gets its name with its note inside, by a rename that fails where somebody has it.
TAKE_LOCK = """
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
# Others may be removing the same: that is no failure.
trap 'rm -rf ".lock-$token" 2>/dev/null || true' EXIT
trap 'exit 1' HUP INT TERM
if take_lock; then
  :
elif [ ! -d lock ]; then
  # Neither held nor taken: say why.
  take_lock
else
  read_token
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
  rm -rf ".broken-$token" 2>/dev/null || true
  take_lock || say_busy
fi
trap unlock EXIT
"""

# Finishes or undoes what the journal says was under way; a release that arrived and is asked for again stays. What is
# active changes only where the health gate's verdict is in the journal: then the board goes back.
RECOVER = """
was_active() {
  awk -v to="\\"to\\":\\"$1\\"" 'index($0, to) { found = 1 } END { exit !found }' history.jsonl 2>/dev/null
}
finish_automatic() {
  outcome=finished
  now_active=$(readlink current 2>/dev/null || true)
  if [ -n "$j_from" ] && [ "$now_active" = "releases/$j_from" ]; then
    if [ "$j_to" != - ] && [ ! -d "releases/$j_to" ]; then
      outcome=undone
      return
    fi
    switch_to "$j_to"
  elif [ "${now_active:-releases/-}" != "releases/$j_to" ]; then
    outcome=undone
    return
  fi
  if [ "$j_to" = - ]; then to_json=null; else to_json=\\"$j_to\\"; fi
  case $(tail -n 1 history.jsonl 2>/dev/null || true) in
    *"\\"action\\":\\"automatic-rollback\\""*"\\"to\\":$to_json"*"}") ;;
    *) add_history "$j_time" "$j_action" "$j_from" "$j_to" "$j_host" "$j_reason" ;;
  esac
  if [ "$j_drop" = yes ] && [ "$j_from" != "$digest" ] && [ -d "releases/$j_from" ]; then
    mv -T "releases/$j_from" "releases/.old-$token"
  fi
}
if [ -f journal ]; then
  j_action='' j_to='' j_from='' j_time='' j_host='' j_drop='' j_reason=''
  while read -r key value; do
    case $key in
      action) j_action=$value ;;
      to) j_to=$value ;;
      from) j_from=$value ;;
      time) j_time=$value ;;
      host) j_host=$value ;;
      drop) j_drop=$value ;;
      reason) j_reason=$value ;;
    esac
  done < journal
  case $j_action$j_to in automatic-rollback-) ;; *) case $j_to in *[!0-9a-f]*) j_to='' ;; esac ;; esac
  case $j_from in *[!0-9a-f]*) j_from='' ;; esac
  if [ -z "$j_to" ]; then
    outcome=unreadable
  elif [ "$j_action" = automatic-rollback ]; then
    finish_automatic
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
  case $j_action in flash | rollback | automatic-rollback) ;; *) j_action=- ;; esac
  printf 'recovered %s %s %s\\n' "$outcome" "$j_action" "${j_to:--}"
fi
remove() {
  for doomed in "$@"; do
    if [ -e "$doomed" ] || [ -L "$doomed" ]; then rm -rf "$doomed"; fi
  done
}
remove releases/.new-* releases/*/.link-*
# What cannot be removed is in nobody's way.
remove releases/.old-* 2>/dev/null || true
# Of benchmarks that were cut off a day ago or more: one that runs has no lock.
for doomed in outputs-??????; do
  if [ -d "$doomed" ]; then find "$doomed" -prune -mtime +0 -exec rm -rf {} + 2>/dev/null || true; fi
done
# Of hosts that are gone; those of the living, who see the lock taken, may go at the same moment.
remove .lock-* .broken-* 2>/dev/null || true
"""

# A file in the store that no release links to has exactly one name.
COLLECT_GARBAGE = """
ls -ln store | awk '$1 ~ /^-/ && $2 == 1 { print $NF }' | while read -r name; do
  rm -f "store/$name"
done
for note in health/*; do
  if [ -f "$note" ] && [ ! -d "releases/${note#health/}" ]; then rm -f "$note"; fi
done
"""

SAY_HEALTH = """
for note in health/*; do
  if [ -f "$note" ]; then
    printf 'health %s ' "${note#health/}"
    head -c 65536 "$note" | tr -d '\\n'
    echo
  fi
done
"""
