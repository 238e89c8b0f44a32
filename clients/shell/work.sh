# shellcheck shell=bash
#
# Work lists, for glock.sh, which sources this file: items of which a client takes any that is free, and keeps it as long as it
# lives. glock.sh says what there is.

# How often the item that was taken last has been taken, this time included.
# shellcheck disable=SC2034 # for the caller
GLOCK_ATTEMPT=0

glock_put() {
    _glock_takes 2 2 'POOL ITEM' $# || return
    _glock_item "$1" "$2" || return
    _glock_ask "put $REPLY" || return
    [[ $REPLY == 1* ]]
}

glock_take() {
    glock_start_take "$@" && glock_finish
}

glock_start_take() {
    _glock_takes 1 2 'POOL [SECONDS|inf|-n]' $# || return
    local seconds=${2-inf}
    [[ $seconds != -n ]] || seconds=0
    _glock_word SECONDS "$seconds" && _glock_pool "$1" && _glock_start "take $seconds $REPLY" "take $REPLY" "$seconds"
}

glock_done() {
    _glock_takes 2 2 'POOL ITEM' $# || return
    _glock_end_item "done" "$1" "$2"
}

glock_fail() {
    _glock_takes 2 2 'POOL ITEM' $# || return
    _glock_end_item fail "$1" "$2"
}

glock_give() {
    _glock_takes 2 2 'POOL ITEM' $# || return
    _glock_end_item give "$1" "$2"
}

glock_keep() {
    _glock_takes 3 3 'SECONDS|inf POOL ITEM' $# || return
    _glock_word SECONDS "$1" || return
    _glock_item "$2" "$3" || return
    local item=$REPLY
    _glock_notify && _glock_ask "keep $1 $item"
}

# Leaves JSON
glock_pool() {
    _glock_takes 0 1 '[POOL]' $# || return
    if [[ $# -eq 1 ]]; then
        _glock_pool "$1" && _glock_ask "pool $REPLY" || return
    else
        _glock_ask pool || return
    fi
    REPLY=${REPLY#* }
}

# Take in what the daemon has said without being asked, then tell.
glock_lost_item() {
    _glock_takes 2 2 'POOL ITEM' $# || return
    _glock_take_in
    _glock_key "give $1 $2"
    [[ ${_GLOCK_HOLDS["$REPLY"]:-} == lost ]]
}

# Takes an item and runs the command with it as last argument, in the ways of glock_with: status 0 says that the item is done, any
# other gives it back. The command finds GLOCK_ITEM, GLOCK_POOL and GLOCK_ATTEMPT in its environment.
glock_work() {
    if [[ $# -lt 3 ]]; then
        _glock_takes 3 3 'POOL SECONDS|inf|-n COMMAND...' $#
        return
    fi
    local pool=$1 seconds=$2 item status
    shift 2
    glock_take "$pool" "$seconds" || return
    item=$REPLY
    GLOCK_ITEM=$item GLOCK_POOL=$pool GLOCK_ATTEMPT=$GLOCK_ATTEMPT _glock_under "$@" "$item"
    if [[ $status -eq 0 ]]; then
        glock_done "$pool" "$item" || status=$GLOCK_LOST
    else
        glock_give "$pool" "$item" || status=$GLOCK_LOST
    fi
    REPLY=$item
    return "$status"
}

# VERB POOL ITEM
_glock_end_item() {
    _glock_item "$2" "$3" || return
    _glock_quiet || return
    local item=$REPLY key
    _glock_key "give $item"
    key=$REPLY
    _glock_send "$1 $item" || return
    _glock_hear || return
    [[ $REPLY == '0 Not Recorded: '* ]] || _GLOCK_HOLDS["$key"]=""
    [[ $REPLY == 1* ]] || _glock_refused
}

# What the reply in REPLY makes of a request for an item: POOL SECONDS. Leaves the item in REPLY.
_glock_taken() {
    local reply=$REPLY item
    if [[ $reply == [1-9]*' Item Take Success: '* ]]; then
        item=${reply#*' Item Take Success: '}
        _glock_key "give $1 $item"
        _GLOCK_HOLDS["$REPLY"]=held
        # shellcheck disable=SC2034 # for the caller
        GLOCK_ATTEMPT=${reply%% *}
        REPLY=$item
        return 0
    fi
    if [[ $reply == *' Take Failure: '* && ! $2 =~ ^0*(\.0*)?$ ]]; then
        return "$GLOCK_TIMED_OUT"
    fi
    _glock_refused && return "$GLOCK_REFUSED"
}

# A list's name as the daemon knows it, into REPLY: one word.
_glock_pool() {
    _glock_normal "$1"
    if [[ -z $REPLY || $REPLY == *' '* || $REPLY == *$'\n'* ]]; then
        return "$GLOCK_BAD_NAME"
    fi
}

# A list and an item as the daemon knows them, into REPLY.
_glock_item() {
    _glock_normal "$2"
    local item=$REPLY
    if [[ -z $item || $item == *$'\n'* ]]; then
        return "$GLOCK_BAD_NAME"
    fi
    _glock_pool "$1" || return
    REPLY="$REPLY $item"
}
