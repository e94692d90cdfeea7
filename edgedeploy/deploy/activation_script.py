"""The script that activates a release: it switches, has the release prove itself, and switches back where it cannot.

All of it happens on the board, so that a host that goes away leaves no release behind that failed. ``scripts.py`` says
in which shells; nothing is said on stdout that the host does not wait for, and nobody who listens is needed.
"""

from __future__ import annotations

from edgedeploy.deploy.script_parts import (
    ADD_HISTORY,
    CHECK_LOCK,
    COLLECT_GARBAGE,
    NOW,
    START,
    SWITCH,
    TRUST,
    WRITE_JOURNAL,
)

STAY = "stay"
NOTHING = "-"

# state reason answer-as-JSON; of the release digest, with back_json, terms and now.
WRITE_HEALTH = """
health_note() {
  printf '{"schema":1,"release":"%s","state":"%s","time":"%s","back":%s,"terms":%s,"reason":"%s","answer":%s}\\n' \\
    "$digest" "$1" "$now" "$back_json" "$terms" "$2" "$3"
}
write_health() {
  health_note "$@" > "lock/health-$token"
  sync "lock/health-$token"
  check_lock
  mv -fT "lock/health-$token" "health/$digest"
  sync health
}
"""

# Sets status, answer (a JSON document or null) and reason. A program of an older release knows only its self-test.
RUN_GATE = """
plain() { tr -cd '\\040\\041\\043-\\133\\135-\\176' | head -c 400; }
ask() {
  command=$1 status=0
  shift
  timeout -s KILL "$limit" ./current/bin/edgedeploy-runner "$command" --release ./current "$@" \\
    > lock/answer 2> lock/complaint || status=$?
}
run_gate() {
  # Words without blanks, made by the host.
  # shellcheck disable=SC2086
  ask health $words
  if [ "$status" -eq 2 ]; then
    case $(tail -n 1 lock/complaint) in *"unknown command"*) ask selftest ;; esac
  fi
  answer=$(head -n 1 lock/answer | head -c 65536)
  case $answer in
    '{"schema":1,"passed":true,'*'}') ;;
    '{"schema":1,"passed":false,'*'}') if [ "$status" -eq 0 ]; then status=3; fi ;;
    *)
      answer=null
      if [ "$status" -eq 0 ]; then status=1; fi
      ;;
  esac
  reason=''
  if [ "$status" -eq 0 ]; then return; fi
  reason=$(printf '%s\\n' "$answer" | sed -n 's/.*"reason":"\\([^"]*\\)".*/\\1/p' | plain)
  if [ -n "$reason" ]; then return; fi
  reason="the on-board program ended with status $status"
  if [ "$status" -eq 137 ]; then
    reason="the on-board program was killed: it took more than $limit s, or the memory ran out"
    return
  fi
  complaint=$(tail -n 1 lock/complaint | plain)
  if [ -n "$complaint" ]; then reason="$reason: $complaint"; fi
}
"""

# root token digest action host-as-JSON list-of-trusted-keys-at-the-survey back drop limit-in-s words terms-as-JSON
# [release to drop ...]
# back: a digest, "-" for none, or "stay"; limit 0: no gate.
ACTIVATE = (
    START
    + CHECK_LOCK
    + TRUST
    + WRITE_JOURNAL
    + ADD_HISTORY
    + SWITCH
    + WRITE_HEALTH
    + RUN_GATE
    + f"""
digest=$3 action=$4 host=$5 known_list=$6 back=$7 drop=$8 limit=$9
shift 9
words=$1 terms=$2
shift 2
# The release was checked against the keys of then, or not at all.
check_list() {{
  find_list
  if [ "$list" != "$known_list" ]; then
    echo trust-changed
    exit 0
  fi
}}
check_list
# The host may be gone by the time that something is said.
trap '' HUP PIPE
say() {{ printf '%s\\n' "$*" 2>/dev/null || :; }}
if [ ! -d "releases/$digest" ]; then
  echo "releases/$digest is gone" >&2
  exit 1
fi
case $back in {STAY} | {NOTHING}) back_json=null ;; *) back_json=\\"$back\\" ;; esac
from=$(readlink current 2>/dev/null || true)
from=${{from#releases/}}
now={NOW}
if [ "$from" != "$digest" ]; then
  write_journal "action $action" "to $digest" "from $from" "time $now" "host $host"
  sync store "releases/$digest" releases
  write_health pending '' null
  ln -s "releases/$digest" "lock/current-$token"
  check_list
  check_lock
  mv -fT "lock/current-$token" current
  sync .
fi
say switched
trap unlock EXIT
check_lock
if [ "$from" != "$digest" ]; then add_history "$now" "$action" "$from" "$digest" "$host"; fi
status=0
if [ "$limit" -gt 0 ]; then
  run_gate
  now={NOW}
  verdict=failed
  if [ "$status" -eq 0 ]; then verdict=proven; fi
  check_lock
  say "health $(health_note "$verdict" "$reason" "$answer")"
  if [ "$status" -eq 0 ]; then
    write_health proven '' "$answer"
  elif [ "$back" = {STAY} ]; then
    write_health failed "$reason" "$answer"
  else
    # Going back must not depend on there being room for the reason.
    write_journal "action automatic-rollback" "to $back" "from $digest" "time $now" "host $host" "drop $drop" \\
      "reason $reason" || :
    # Whatever stops it: the host learns what is active then.
    trap 'read_current; say "now $active"; unlock' EXIT
    switch_to "$back"
    trap unlock EXIT
    say "back $back"
    add_history "$now" automatic-rollback "$digest" "$back" "$host" "$reason"
    if [ "$drop" = yes ]; then
      mv -T "releases/$digest" "releases/.old-$digest"
      rm -rf "releases/.old-$digest"
    else
      write_health failed "$reason" "$answer"
    fi
  fi
fi
if [ "$status" -eq 0 ]; then
  for old in "$@"; do
    if [ "$old" = "$digest" ] || [ "$old" = "$from" ]; then continue; fi
    check_lock
    mv -T "releases/$old" "releases/.old-$old"
    rm -rf "releases/.old-$old"
  done
fi
check_lock
"""
    + COLLECT_GARBAGE
    + """
check_lock
rm -f journal
say cleaned
"""
)
