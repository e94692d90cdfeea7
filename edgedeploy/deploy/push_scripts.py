"""What runs on the board while files arrive; ``scripts.py`` says in which shells. The files come on stdin."""

from __future__ import annotations

from edgedeploy.deploy.script_parts import CHECK_LOCK, START

CHANGED_STATUS = 76
# csrc/runner/receive.h has it too; a stream starts with it.
STREAM_NAME = "edgedeploy-stream-1"
# csrc/runner/report.h: such a program surveys the board, and makes the release of what it unpacks.
INSTALLER_NAME = "edgedeploy-installer-1"

# Says which program unpacks streams, the active release's or the one that checks signatures, and whether gzip is there.
FIND_RECEIVER = f"""
receives() {{
  said=$("$1" version 2>/dev/null || true)
  case $said in *'"{STREAM_NAME}"'*) printf 'receiver %s\\n' "$1" ;; *) return 1 ;; esac
  case $said in *'"{INSTALLER_NAME}"'*) echo installs ;; esac
}}
find_receiver() {{
  if command -v gzip > /dev/null; then echo gzip; fi
  if [ -n "$from" ] && receives "./$from/bin/edgedeploy-runner"; then return; fi
  [ -f "$trust/keys" ] || return 0
  named=$(awk '$1 == "verifier" {{ print $2 }}' "$trust/keys" 2>/dev/null || true)
  [ -n "$named" ] || return 0
  actual=$(sha256sum < "$trust/verifier-$named" || true)
  if [ "${{actual%% *}}" = "$named" ]; then receives "$trust/verifier-$named" || true; fi
}}
"""

# receiver new|proven; a new one has come just now, through SSH's and gzip's checks; "unable" is said where it cannot
RUN_RECEIVER = """
receiver=$1
if [ "$2" = new ] && ! "$receiver" version > /dev/null; then
  echo unable
  exit 0
fi
"$receiver" receive --into "store/.incoming-$token-"
check_lock
"""

# root token digest count installer new|proven; stdin: the files, then the list as for scripts.STORE
INSTALL = (
    START
    + """
cd "$1"
if [ "$6" = new ] && ! "$5" version > /dev/null; then
  echo unable
  exit 0
fi
exec "$5" install --token "$2" --digest "$3" --count "$4"
"""
)

# root token digest count bytes; stdin: the small program of so many bytes, gzipped, then as for INSTALL. That program
# came through SSH's and gzip's checks; it removes itself. "unable" is said where it cannot be had out of the stream.
BOOTSTRAP = (
    START
    + CHECK_LOCK
    + """
program=store/.incoming-$token-installer
umask 077
if ! dd bs="$5" count=1 iflag=fullblock 2>/dev/null | gzip -dc > "$program" 2>/dev/null; then
  echo unable
  exit 0
fi
chmod 700 "$program"
exec "./$program" install --token "$2" --digest "$3" --count "$4"
"""
)

# root token; where that program did not run
FORGET = START + CHECK_LOCK + 'rm -f "store/.incoming-$token-installer"\n'

# root token sha256 mode offset
UNZIP = (
    START
    + CHECK_LOCK
    + f"""
target=store/.incoming-$token-$3 mode=$4 offset=$5
umask 077
if [ "$offset" -eq 0 ]; then
  gzip -dc > "$target"
else
  [ "$(wc -c < "$target")" -eq "$offset" ] || exit {CHANGED_STATUS}
  gzip -dc >> "$target"
fi
chmod "$mode" "$target"
"""
)
