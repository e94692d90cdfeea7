"""What runs on the board where keys and signatures are concerned; ``scripts.py`` says in which shells.

The trusted keys are the account's, not an app's or a directory's: ``--directory`` leads around none of them.
"""

from __future__ import annotations

from edgedeploy.deploy.script_parts import START

_START = (
    START
    + """
trust=$HOME/.edgedeploy/.trust
"""
)

# The program that checks is the one that the signed list of keys names, and no other.
_FIND_CHECKER = """
named=$(awk '$1 == "verifier" { print $2 }' "$trust/keys" || true)
checker=$trust/verifier-$named
actual=$(sha256sum < "$checker" || true)
if [ -z "$named" ] || [ "${actual%% *}" != "$named" ]; then
  echo damaged
  exit 0
fi
"""

_RUN_CHECKER = """
status=0
answer=$("$checker" "$@") || status=$?
printf 'status %s\\nanswer %s\\n' "$status" "$answer"
"""

# root digest app; says "open" where the board trusts no key
VERIFY = (
    _START
    + """
root=$1 digest=$2 app=$3
if [ ! -e "$trust/keys" ] && [ ! -L "$trust/keys" ]; then
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
if [ -e "$trust/keys" ] || [ -L "$trust/keys" ]; then
  awk '{ print "line", $0 }' "$trust/keys"
fi
echo end
"""
)

# sha256-of-the-verifier
PREPARE = (
    _START
    + """
mkdir -p "$HOME/.edgedeploy"
mkdir -p -m 700 "$trust"
rm -f "$trust"/.incoming-* "$trust"/.change-*
printf 'directory %s\\n' "$trust"
actual=$(sha256sum < "$trust/verifier-$1" 2>/dev/null || true)
if [ "${actual%% *}" = "$1" ]; then echo have; fi
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
  actual=$(sha256sum < "$incoming")
  if [ "${actual%% *}" != "$sha" ]; then
    echo mismatch
    exit 0
  fi
  mv -f "$incoming" "$trust/verifier-$sha"
fi
sync
if [ -e "$trust/keys" ] || [ -L "$trust/keys" ]; then
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
named=$(awk '$1 == "verifier" { print $2 }' "$trust/keys" || true)
for old in "$trust"/verifier-*; do
  if [ -n "$named" ] && [ "$old" != "$trust/verifier-$named" ]; then rm -f "$old"; fi
done
sync
"""
)
