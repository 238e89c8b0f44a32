# shellcheck shell=bash
#
# Windows, for glock.sh, which sources this file: names for a stretch of time, agreed before. glock.sh says what there is.

# When the window that was booked last begins, and when it is over.
# shellcheck disable=SC2034 # for the caller
GLOCK_BEGIN="" GLOCK_END=""

glock_book() {
    local verb=book
    if [[ ${1-} == -s ]]; then
        verb=sbook
        shift
    fi
    _glock_takes 2 4 '[-s] NAME SECONDS [now|+SECONDS|YYYY-MM-DDThh:mm:ssZ [SECONDS]]' $# || return
    local start=${3-now} slip=${4-0}
    _glock_word SECONDS "$2" && _glock_word START "$start" && _glock_word SLIP "$slip" || return
    _glock_normal "$1"
    if [[ -z $REPLY ]]; then
        return "$GLOCK_BAD_NAME"
    fi
    _glock_ask "$verb $start $2 $slip $REPLY" || return
    if ! [[ $REPLY =~ ^([1-9][0-9]*)\ (Shared\ )?Booked\ ([^ ]+)\ ([^ ]+):\  ]]; then
        return "$GLOCK_REFUSED"
    fi
    # shellcheck disable=SC2034 # for the caller
    GLOCK_BEGIN=${BASH_REMATCH[3]} GLOCK_END=${BASH_REMATCH[4]}
    REPLY=${BASH_REMATCH[1]}
}

glock_unbook() {
    _glock_takes 1 1 NUMBER $# || return
    _glock_word NUMBER "$1" && _glock_ask "unbook $1" || return
    [[ $REPLY == 1* ]]
}

# Leaves JSON
glock_bookings() {
    _glock_takes 0 1 '[NAME]' $# || return
    _glock_ask "bookings ${1:-}" || return
    REPLY=${REPLY#* }
}
