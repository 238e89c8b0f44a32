#!/usr/bin/env bash
. "$(dirname "$0")/../glock.sh"

glock_open || exit # the daemon that GLOCK_SERVER names

if glock_lock "nightly backup" 10; then # waits in line for up to ten seconds
    glock_token "nightly backup"
    if ((REPLY > 0)); then
        echo "holding nightly backup with a token"
    fi
    glock_lost "nightly backup" && exit 1 # between two steps of the work
    glock_release "nightly backup"
else
    echo "not to be had: status $?"
fi

# Or let it see to all that.
glock_with "cron job" 0 echo "done"
