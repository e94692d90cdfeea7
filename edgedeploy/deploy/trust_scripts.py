"""What runs on the board where keys and signatures are concerned; ``scripts.py`` says in which shells.

The trusted keys are the account's, not an app's or a directory's: ``--directory`` leads around none of them.
"""

from __future__ import annotations

from edgedeploy.deploy.script_parts import START, TRUST

_START = (
    START
    + TRUST
    + """
find_list
# file SHA-256; whether it is a program of these bytes
is_program() {
  actual=$(sha256sum 2>/dev/null < "$1" || true)
  [ -n "$2" ] && [ "${actual%% *}" = "$2" ] && [ -x "$1" ]
}
# files and directories; whether all are this account's or root's, written by no one else, and no symbolic links
is_own() {
  ls -ldn "$@" | awk -v own="$(id -u)" '
    $1 ~ /^(l|.....w|........w)/ || ($3 != own && $3 != 0) { strange = 1 }
    END { exit strange }
  '
}
"""
)

# The program that checks is the one that the signed list of keys names, and no other; nor one of a list or a directory
# that others can write, which would name theirs.
_FIND_CHECKER = """
named=''
if [ "$list" != unreadable ]; then named=$(awk '$1 == "verifier" { print $2 }' "$trust/keys" || true); fi
checker=$trust/verifier-$named
if ! is_program "$checker" "$named" || ! is_own "$trust" "$trust/keys" "$checker"; then
  echo damaged
  exit 0
fi
"""

_RUN_CHECKER = """
status=0
answer=$("$checker" "$@") || status=$?
printf 'status %s\\nanswer %s\\n' "$status" "$answer"
"""

# root digest app; says "open" where the board has no list
VERIFY = (
    _START
    + """
root=$1 digest=$2 app=$3
if [ "$list" = - ]; then
  echo open
  exit 0
fi
"""
    + _FIND_CHECKER
    + """
set -- verify --release "$root/releases/$digest" --trust "$trust" --digest "$digest" --app "$app"
"""
    + _RUN_CHECKER
)

# changes nothing
READ_KEYS = (
    _START
    + """
printf 'list %s\\n' "$list"
case $list in
  - | unreadable) ;;
  *) awk '{ print "line", $0 }' "$trust/keys" ;;
esac
echo end
"""
)

# sha256-of-the-verifier; what others have under way beside the list stays
PREPARE = (
    _START
    + """
mkdir -p "$HOME/.edgedeploy"
mkdir -p -m 700 "$trust"
printf 'directory %s\\n' "$trust"
if is_program "$trust/verifier-$1" "$1"; then echo have; fi
echo end
"""
)

# token sha256-of-the-verifier key signature; stdin: the new list of keys
CHANGE = (
    _START
    + """
token=$1 sha=$2 key=$3 signature=$4
change=$trust/.change-$token incoming=$trust/.incoming-$token
trap 'rm -f "$change" "$incoming"' EXIT
cat > "$change"
if [ -e "$incoming" ]; then
  if ! is_program "$incoming" "$sha"; then
    echo mismatch
    exit 0
  fi
  mv -f "$incoming" "$trust/verifier-$sha"
fi
# Another change may have swept it away since it was sent or found. The checker looks once more, under its lock.
if ! is_program "$trust/verifier-$sha" "$sha"; then
  echo missing
  exit 0
fi
sync
if [ "$list" != - ]; then
"""
    + _FIND_CHECKER
    + """
else
  checker=$trust/verifier-$sha
fi
set -- trust --trust "$trust" --change "$change"
if [ -n "$key" ]; then set -- "$@" --key "$key" --signature "$signature"; fi
"""
    + _RUN_CHECKER
    + """
sync
"""
)
