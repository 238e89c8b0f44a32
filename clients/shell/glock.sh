# shellcheck shell=bash
#
# Client of glockd, the lock daemon, for bash 4.4 and newer. Source this file; address.sh, work.sh and windows.sh have
# to lie beside it.
#
#   glock_open [SERVER]                    connect to [tcp://]host[:port] or [unix://]/path; else GLOCK_SERVER, else port 9999
#                                          here. A GLOCK_SECRET is presented.
#   glock_lock NAME [SECONDS|inf|-n]       take the lock; wait in line for it, for ever or up to SECONDS, or not (-n)
#   glock_read NAME [SECONDS|inf|-n]       the same as one of several readers
#   glock_shared NAME [LIMIT [SECONDS|inf|-n]]   take the shared lock; only while fewer than LIMIT hold it
#   glock_release NAME                     give back a lock, or a reader's
#   glock_release_shared NAME              give back a shared lock
#   glock_lost NAME                        has my hold of it ended without my doing?
#   glock_with NAME SECONDS|inf|-n COMMAND...   run a command with the lock; end the command if the lock is lost
#   glock_without COMMAND...               run a command that does not keep the locks when the shell ends
#   glock_start_lock, _read, _shared, _take   begin to wait, and go on; arguments as above
#   glock_finish                           the outcome of a wait begun with them
#   glock_cancel                           give that wait up
#   glock_locked NAME, glock_count NAME    does anybody hold the lock; how many the shared one
#   glock_holders NAME, glock_shared_holders NAME, glock_who [NAME], glock_stats
#   glock_token NAME, glock_check TOKEN NAME, glock_lease SECONDS|inf NAME
#   glock_explain NAME, glock_history [NAME], glock_iam [NAME], glock_me
#   glock_auth SECRET, glock_ping, glock_version, glock_bound, glock_raw LINE [LINES]
#   glock_alive SECONDS                    have the daemon show so often that it is alive; lost after 2.5 times as long
#   glock_put POOL ITEM                    offer an item of a work list; 1: it is there already, or there is no room
#   glock_take POOL [SECONDS|inf|-n]       take any item, and wait in line for one; REPLY is it, GLOCK_ATTEMPT how often it was taken
#   glock_done, glock_fail, glock_give POOL ITEM   it is finished; given up; put back
#   glock_keep SECONDS|inf POOL ITEM       let the daemon take it back after so long
#   glock_work POOL SECONDS|inf|-n COMMAND...   run a command with an item; done if it ends with 0, else put back
#   glock_lost_item POOL ITEM, glock_pool [POOL]
#   glock_book [-s] NAME SECONDS [START [SLIP]]   a window: the name for so long from START on (now, +SECONDS, a moment in UTC), or
#                                          up to SLIP seconds later; REPLY is its number, GLOCK_BEGIN and GLOCK_END when it is
#   glock_unbook NUMBER                    give a window back, or end it; 1: it is over, or not mine
#   glock_bookings [NAME]                  windows that are on or to come
#   glock_close                            release what is held, and hang up
#
# All of them return 0 for yes or done, and 1 for no (not held, not locked, not the token now in force); else one of the
# statuses below, or 2 for a call with arguments that it does not take. What they are asked for is left in REPLY, listings in
# the array GLOCK_LINES.
#
# The locks live as long as the connection: until glock_close or the end of the shell, and of whatever the shell has started
# meanwhile, since that inherits the connection as it does flock(1)'s files. Only the shell that opened it uses it: in a
# subshell nothing is sent, and the locks count as lost.

# shellcheck source=address.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/address.sh" || return
# shellcheck source=work.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/work.sh" || return
# shellcheck source=windows.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/windows.sh" || return

GLOCK_BUSY=75           # not to be had at once
GLOCK_TIMED_OUT=76      # not to be had within SECONDS
GLOCK_NOT_AUTHORISED=77 # the daemon wants a secret, or another one
GLOCK_UNREACHABLE=78    # no connection
GLOCK_LOST=79           # the lock or the connection was lost
GLOCK_DEADLOCK=80       # waiting would never have ended
GLOCK_REFUSED=81        # the daemon says no for another reason, which REPLY tells
GLOCK_BAD_NAME=82       # the name holds a line feed, or the command would be longer than 4095 bytes
GLOCK_CANCELLED=83      # glock_cancel gave the wait up

# Whole seconds that the daemon has for a reply that need not be waited for.
GLOCK_TIMEOUT=${GLOCK_TIMEOUT:-10}

# The connection in use, by its number. glock_open opens another one; who wants several sets this.
GLOCK_CONNECTION=${GLOCK_CONNECTION:-0}

# By number of the connection: what it is read from and written to, the process that opened it, and whether it was told to push
# lost locks.
declare -gA _GLOCK_IN=() _GLOCK_OUT=() _GLOCK_OWNER=() _GLOCK_NOTIFIED=()
# By number of the connection, in hundredths of seconds: how long the daemon may be silent; empty: as long as it likes. When it
# last said anything.
declare -gA _GLOCK_SILENCE=() _GLOCK_SIGN=()
# By number of the connection, while a wait is on its way: the command that releases its lock, for how many seconds, and
# whether the lock was held before. How the last one ended.
declare -gA _GLOCK_WAITS=() _GLOCK_SECONDS=() _GLOCK_HAD=() _GLOCK_WAITED=()
# By number and release command: held, or lost. Keys come from outside: they are only ever used as "$key".
declare -gA _GLOCK_HOLDS=()
# Unicode's white space but the space itself, in UTF-8. In names, the daemon makes one space of each run and none at the ends.
declare -ga _GLOCK_SPACES=(
    $'\t' $'\v' $'\f' $'\r' $'\xc2\x85' $'\xc2\xa0' $'\xe1\x9a\x80' $'\xe2\x80\x80' $'\xe2\x80\x81' $'\xe2\x80\x82'
    $'\xe2\x80\x83' $'\xe2\x80\x84' $'\xe2\x80\x85' $'\xe2\x80\x86' $'\xe2\x80\x87' $'\xe2\x80\x88' $'\xe2\x80\x89'
    $'\xe2\x80\x8a' $'\xe2\x80\xa8' $'\xe2\x80\xa9' $'\xe2\x80\xaf' $'\xe2\x81\x9f' $'\xe3\x80\x80'
)
declare -g _GLOCK_NONCE="" _GLOCK_LAST=0
declare -ga GLOCK_LINES=()

glock_open() {
    _glock_takes 0 1 '[SERVER]' $# || return
    if ! [[ $GLOCK_TIMEOUT =~ ^[0-9]{1,9}$ ]]; then
        printf 'glock: GLOCK_TIMEOUT: want whole seconds\n' >&2
        return 2
    fi
    _glock_server "$@" || return
    local in out status=0
    if [[ ${_GLOCK_ADDRESS[kind]} == unix ]]; then
        _glock_open_unix "${_GLOCK_ADDRESS[path]}" || return
    else
        # The braces take the message of the failed redirection.
        if ! { exec {in}<>"/dev/tcp/${_GLOCK_ADDRESS[host]}/${_GLOCK_ADDRESS[port]}"; } 2>/dev/null; then
            REPLY="no connection to ${_GLOCK_ADDRESS[url]}"
            return "$GLOCK_UNREACHABLE"
        fi
        out=$in
    fi
    GLOCK_CONNECTION=$((++_GLOCK_LAST))
    _GLOCK_IN[$GLOCK_CONNECTION]=$in
    _GLOCK_OUT[$GLOCK_CONNECTION]=$out
    _GLOCK_OWNER[$GLOCK_CONNECTION]=$BASHPID
    _GLOCK_NOTIFIED[$GLOCK_CONNECTION]=""
    _GLOCK_SILENCE[$GLOCK_CONNECTION]=""
    _GLOCK_WAITS[$GLOCK_CONNECTION]=""
    if [[ -z $_GLOCK_NONCE ]]; then
        _GLOCK_NONCE=$(od -An -N16 -tx1 /dev/urandom) || return
        _GLOCK_NONCE=${_GLOCK_NONCE//[[:space:]]/}
    fi
    glock_auth "${GLOCK_SECRET:-}" || status=$?
    [[ $status -eq 0 ]] || _glock_hang_up
    return "$status"
}

# Leave what SERVER says, or GLOCK_SERVER, in _GLOCK_ADDRESS.
_glock_server() {
    local server
    _glock_trim "${GLOCK_SERVER:-}"
    server=${1-${REPLY:-tcp://127.0.0.1:9999}}
    if _glock_address "$server"; then
        case "${#_GLOCK_URLS[@]} ${_GLOCK_ADDRESS[kind]}" in
        '1 tcp' | '1 unix') return ;;
        '1 '*) REPLY="this client does not speak ${_GLOCK_ADDRESS[kind]}://" ;;
        *) REPLY='this client takes one server, not several' ;;
        esac
    fi
    if [[ $REPLY == *GLOCK_SECRET* ]]; then
        server="(not shown)"
    fi
    printf 'glock: server %s: %s\n' "$server" "$REPLY" >&2
    return "$GLOCK_UNREACHABLE"
}

# Refuse a call with other arguments than it takes: one that is missing would be the empty name. LEAST MOST USAGE NUMBER
_glock_takes() {
    if (($4 < $1 || $4 > $2)); then
        printf 'glock: usage: %s %s\n' "${FUNCNAME[1]}" "$3" >&2
        return 2
    fi
}

# bash has no Unix sockets: a helper copies between one and two pipes. Sets in and out of the caller.
_glock_open_unix() {
    local path=$1 pipes helper escaped
    if command -v socat >/dev/null; then
        escaped=${path//\\/\\\\}
        local special
        for special in ':' ',' '!' '"' "'" '(' '[' '{'; do
            escaped=${escaped//"$special"/\\$special}
        done
        # It ends when either side does.
        helper=(socat -t 0 - "UNIX-CONNECT:$escaped")
    elif command -v nc >/dev/null; then
        helper=(nc -N -U "$path") # OpenBSD's; without -N the daemon would not hear of the shell's end
    else
        printf 'glock: unix:// wants socat or nc (netcat-openbsd)\n' >&2
        return "$GLOCK_UNREACHABLE"
    fi
    if ! [[ -S $path ]]; then
        REPLY="no connection to unix://$path"
        return "$GLOCK_UNREACHABLE"
    fi
    pipes=$(mktemp -d) || return "$GLOCK_UNREACHABLE"
    mkfifo "$pipes/in" "$pipes/out" || return "$GLOCK_UNREACHABLE"
    (
        # Nothing else may keep the other connections open, nor end with a signal meant for the shell.
        _glock_close_all
        trap '' INT
        exec "${helper[@]}" <"$pipes/in" >"$pipes/out" 2>/dev/null
    ) &
    disown $!
    exec {out}>"$pipes/in" {in}<"$pipes/out"
    rm -r "$pipes"
}

# Other processes may have the connection, too, and then closing it would free nothing: what is held is released before.
glock_close() {
    _glock_takes 0 0 '' $# || return
    local key
    if _glock_is_mine && glock_cancel; then
        for key in "${!_GLOCK_HOLDS[@]}"; do
            if [[ $key == "$GLOCK_CONNECTION "* && ${_GLOCK_HOLDS["$key"]} == held ]]; then
                if ! { _glock_send "${key#* }" && _glock_hear; }; then
                    break
                fi
            fi
        done
    fi
    _glock_hang_up
}

# Close the connection in this process.
_glock_hang_up() {
    local in=${_GLOCK_IN[$GLOCK_CONNECTION]:-} out=${_GLOCK_OUT[$GLOCK_CONNECTION]:-}
    [[ -n $in ]] || return 0
    exec {in}>&-
    [[ $in == "$out" ]] || exec {out}>&-
    _GLOCK_IN[$GLOCK_CONNECTION]=""
    _GLOCK_OUT[$GLOCK_CONNECTION]=""
    _GLOCK_WAITS[$GLOCK_CONNECTION]=""
    local key
    for key in "${!_GLOCK_HOLDS[@]}"; do
        if [[ $key == "$GLOCK_CONNECTION "* && ${_GLOCK_HOLDS["$key"]} == held ]]; then
            _GLOCK_HOLDS["$key"]=lost
        fi
    done
}

_glock_close_all() {
    local fd
    for fd in "${_GLOCK_IN[@]}" "${_GLOCK_OUT[@]}"; do
        if [[ -n $fd ]]; then
            exec {fd}>&-
        fi
    done
}

glock_lock() {
    glock_start_lock "$@" && glock_finish
}

glock_read() {
    glock_start_read "$@" && glock_finish
}

glock_shared() {
    glock_start_shared "$@" && glock_finish
}

glock_start_lock() {
    _glock_takes 1 2 'NAME [SECONDS|inf|-n]' $# || return
    if [[ ${2-} == -n ]]; then
        _glock_start "g $1" "r $1" 0
    else
        _glock_word SECONDS "${2-inf}" && _glock_start "wait ${2-inf} $1" "r $1" "${2-inf}"
    fi
}

glock_start_read() {
    _glock_takes 1 2 'NAME [SECONDS|inf|-n]' $# || return
    local seconds=${2-inf}
    [[ $seconds != -n ]] || seconds=0
    _glock_word SECONDS "$seconds" && _glock_start "read $seconds $1" "r $1" "$seconds"
}

glock_start_shared() {
    _glock_takes 1 3 'NAME [LIMIT [SECONDS|inf|-n]]' $# || return
    if [[ $# -eq 1 ]]; then
        _glock_start "sg $1" "sr $1" 0
        return
    fi
    local seconds=${3-inf}
    [[ $seconds != -n ]] || seconds=0
    _glock_word LIMIT "$2" && _glock_word SECONDS "$seconds" && _glock_start "share $seconds $2 $1" "sr $1" "$seconds"
}

# Refuse, as the daemon does, what is no one word: it would begin another name. WHICH ARGUMENT
_glock_word() {
    local LC_ALL=C
    if [[ $2 == *[!!-~]* || -z $2 ]]; then
        REPLY="0 Bad Argument: $1"
        return "$GLOCK_REFUSED"
    fi
}

# Send a request for a lock: COMMAND RELEASE SECONDS
_glock_start() {
    _glock_quiet || return
    _glock_send "$1" || return
    _glock_key "$2"
    _GLOCK_WAITS[$GLOCK_CONNECTION]=$2
    _GLOCK_SECONDS[$GLOCK_CONNECTION]=$3
    _GLOCK_HAD[$GLOCK_CONNECTION]=${_GLOCK_HOLDS["$REPLY"]:-}
    _GLOCK_WAITED[$GLOCK_CONNECTION]=""
}

glock_finish() {
    local release=${_GLOCK_WAITS[$GLOCK_CONNECTION]:-} seconds=${_GLOCK_SECONDS[$GLOCK_CONNECTION]:-} status=0 limit=""
    if [[ -z $release ]]; then
        return "${_GLOCK_WAITED[$GLOCK_CONNECTION]:-1}"
    fi
    if [[ $seconds =~ ^([0-9]{0,9})(\.[0-9]*)?$ ]]; then
        limit=$((10#0${BASH_REMATCH[1]} + 10#$GLOCK_TIMEOUT + 1))
    elif [[ $seconds != inf && ! $seconds =~ ^[0-9]{10} ]]; then
        limit=$GLOCK_TIMEOUT # the daemon will refuse it
    fi
    _glock_hear "$limit" || return
    _GLOCK_WAITS[$GLOCK_CONNECTION]=""
    if [[ $release == 'take '* ]]; then
        _glock_taken "${release#take }" "$seconds" || status=$?
    else
        _glock_outcome "$release" "$seconds" || status=$?
    fi
    _GLOCK_WAITED[$GLOCK_CONNECTION]=$status
    return "$status"
}

# What the reply in REPLY makes of a request for a lock: RELEASE SECONDS. Leaves the number of holders in REPLY.
_glock_outcome() {
    local reply=$REPLY
    if [[ $reply == [1-9]* ]]; then
        _glock_key "$1"
        _GLOCK_HOLDS["$REPLY"]=held
        REPLY=${reply%% *}
        return 0
    fi
    if [[ $reply == *' Get Failure: '* && ! $2 =~ ^0*(\.0*)?$ ]]; then
        return "$GLOCK_TIMED_OUT"
    fi
    _glock_refused && return "$GLOCK_REFUSED"
}

glock_cancel() {
    local release=${_GLOCK_WAITS[$GLOCK_CONNECTION]:-}
    [[ -n $release ]] || return 0
    _GLOCK_WAITS[$GLOCK_CONNECTION]=""
    _GLOCK_WAITED[$GLOCK_CONNECTION]=$GLOCK_CANCELLED
    # The daemon acts on cancel at once and on the rest in order, so that these leave the hold as it was before the request,
    # whether it was granted meanwhile or not.
    local reply
    if [[ ${_GLOCK_SECONDS[$GLOCK_CONNECTION]} != 0 ]]; then
        _glock_send cancel || return
        _glock_hear || return
        reply=$REPLY
    fi
    _glock_hear || return
    reply=${reply:-$REPLY}
    if [[ $release == 'take '* ]]; then
        if [[ $reply == [1-9]*' Item Take Success: '* ]]; then
            _glock_send "give ${release#take } ${reply#*' Item Take Success: '}" || return
            _glock_hear
        fi
    elif [[ ${_GLOCK_HAD[$GLOCK_CONNECTION]} != held ]]; then
        _glock_send "$release" || return
        _glock_hear
    fi
}

glock_release() {
    _glock_takes 1 1 NAME $# || return
    _glock_give_back "r $1"
}

glock_release_shared() {
    _glock_takes 1 1 NAME $# || return
    _glock_give_back "sr $1"
}

_glock_give_back() {
    _glock_quiet || return
    _glock_send "$1" || return
    _glock_key "$1"
    local key=$REPLY
    _glock_hear || return
    _GLOCK_HOLDS["$key"]=""
    [[ $REPLY == 1* ]] || _glock_refused
}

# Take in what the daemon has said without being asked, then tell.
glock_lost() {
    _glock_takes 1 1 NAME $# || return
    _glock_take_in
    _glock_key "r $1"
    [[ ${_GLOCK_HOLDS["$REPLY"]:-} == lost ]] && return 0
    _glock_key "sr $1"
    [[ ${_GLOCK_HOLDS["$REPLY"]:-} == lost ]]
}

_glock_take_in() {
    if _glock_is_mine; then
        _glock_look
    else
        _glock_hang_up # what is held is the shell's that opened it
    fi
}

# Take in what has arrived already; the connection may turn out to have ended.
_glock_look() {
    local in=${_GLOCK_IN[$GLOCK_CONNECTION]:-} silence=${_GLOCK_SILENCE[$GLOCK_CONNECTION]:-}
    [[ -z ${_GLOCK_WAITS[$GLOCK_CONNECTION]:-} ]] || return 0
    while [[ -n $in ]] && read -r -t 0 -u "$in"; do
        _glock_line "$((100 * 10#$GLOCK_TIMEOUT))" || [[ $? -eq 1 ]] || return 0
        in=${_GLOCK_IN[$GLOCK_CONNECTION]:-}
    done
    _glock_now
    if [[ -n $silence && $REPLY -gt $((${_GLOCK_SIGN[$GLOCK_CONNECTION]} + silence)) ]]; then
        _glock_hang_up
    fi
}

# Whether this is the shell that opened the connection, and no subshell of it.
_glock_is_mine() {
    [[ ${_GLOCK_OWNER[$GLOCK_CONNECTION]:-} == "$BASHPID" ]]
}

# Hundredths of seconds of a clock that nobody sets, or else of the time of day, into REPLY.
_glock_now() {
    if ! { IFS=' ' read -r REPLY _ </proc/uptime; } 2>/dev/null; then
        printf -v REPLY '%(%s)T.00' -1
    fi
    REPLY=${REPLY/./}
}

# Run a command, or a function, without the connections, so that it does not keep the locks when the shell ends.
glock_without() {
    if [[ $# -eq 0 ]]; then
        _glock_takes 1 1 'COMMAND...' 0
        return
    fi
    local connection
    for connection in "${!_GLOCK_OWNER[@]}"; do
        if [[ ${_GLOCK_OWNER["$connection"]} == "$BASHPID" && -n ${_GLOCK_IN["$connection"]} ]]; then
            (
                _glock_close_all
                "$@"
            )
            return
        fi
    done
    _glock_close_all # in the background, where this shell is a copy that uses none of them
    "$@"
}

# Runs the command in the foreground while another process listens to the daemon; a function is run in a subshell. It inherits the connection: should
# the shell be killed, the lock lives until the command ends. If the lock is lost, the command gets TERM and, after
# GLOCK_GRACE seconds (10), KILL. The status is the command's own, or one of those above.
glock_with() {
    if [[ $# -lt 3 ]]; then
        _glock_takes 3 3 'NAME SECONDS|inf|-n COMMAND...' $#
        return
    fi
    local name=$1 seconds=$2 status
    shift 2
    glock_lock "$name" "$seconds" || return
    _glock_under "$@"
    glock_release "$name" || status=$GLOCK_LOST
    return "$status"
}

# Run a command, and end it when the daemon says that what is held is lost. Sets status of the caller: the command is to run as
# it would by itself, and behind || it would not heed set -e.
_glock_under() {
    local silence=${_GLOCK_SILENCE[$GLOCK_CONNECTION]:-} shell=$BASHPID options=$- pipe watcher
    exec {pipe}> >(_glock_watch "${_GLOCK_IN[$GLOCK_CONNECTION]}" "$shell" "$silence" >/dev/null 2>&1)
    watcher=$!
    set +e
    # The foreground, so that the command has the terminal and its signals.
    (
        printf '%s\n' "$BASHPID" >&"$pipe"
        exec {pipe}>&-
        [[ $options != *e* ]] || set -e
        "$@"
    )
    status=$?
    [[ $options != *e* ]] || set -e
    exec {pipe}>&-
    kill -KILL "$watcher" 2>/dev/null || : # with another signal, bash would run the caller's EXIT trap in there
    wait "$watcher" 2>/dev/null || :
    _glock_now
    _GLOCK_SIGN[$GLOCK_CONNECTION]=$REPLY # the watcher has taken in those that came
}

# End the command whose process id is on standard input when the daemon says that a lock is lost, or no longer anything.
_glock_watch() {
    local in=$1 shell=$2 silence=$3 command status line tenths sign
    trap - EXIT ERR
    read -r command || return
    _glock_now
    sign=$REPLY
    # It must not keep the connection when the others are gone.
    while kill -0 "$command" && _glock_child_of "$shell"; do
        status=0 line=""
        read -r -t 1 -u "$in" line || status=$?
        _glock_now
        [[ $status -ne 0 ]] || sign=$REPLY
        if [[ ($status -gt 0 && $status -le 128) || $line == '! '[li]* || (-n $silence && $REPLY -gt $((sign + silence))) ]]; then
            _glock_close_all
            kill -TERM "$command"
            for ((tenths = 0; tenths < 10 * ${GLOCK_GRACE:-10}; tenths++)); do
                sleep 0.1
                kill -0 "$command" || return 0
            done
            kill -KILL "$command"
        fi
    done
}

# Whether the process still has this parent, which may be a zombie otherwise.
_glock_child_of() {
    local parent
    if [[ -r /proc/$BASHPID/stat ]]; then
        IFS=' ' read -r _ _ _ parent _ <"/proc/$BASHPID/stat"
        [[ $parent == "$1" ]]
    else
        kill -0 "$1"
    fi
}

glock_locked() {
    _glock_takes 1 1 NAME $# || return
    _glock_ask "i $1" || return
    [[ $REPLY == [1-9]* ]]
}

glock_count() {
    _glock_takes 1 1 NAME $# || return
    _glock_ask "si $1" || return
    REPLY=${REPLY%% *}
}

glock_token() {
    _glock_takes 1 1 NAME $# || return
    _glock_ask "token $1" || return
    REPLY=${REPLY%% *}
}

glock_check() {
    _glock_takes 2 2 'TOKEN NAME' $# || return
    _glock_word TOKEN "$1" || return
    _glock_ask "check $1 $2" || return
    [[ $REPLY == 1* ]]
}

glock_lease() {
    _glock_takes 2 2 'SECONDS|inf NAME' $# || return
    _glock_word SECONDS "$1" || return
    _glock_notify && _glock_ask "lease $1 $2"
}

# Have the daemon say when it takes something back.
_glock_notify() {
    [[ -z ${_GLOCK_NOTIFIED[$GLOCK_CONNECTION]:-} ]] || return 0
    _glock_ask "notify on" || return
    _GLOCK_NOTIFIED[$GLOCK_CONNECTION]=1
}

glock_holders() {
    _glock_takes 1 1 NAME $# || return
    _glock_holders d "$1"
}

glock_shared_holders() {
    _glock_takes 1 1 NAME $# || return
    _glock_holders sd "$1"
}

_glock_holders() {
    _glock_key "$1 $2"
    local name=${REPLY#* * }
    [[ $REPLY == *' '*' '* && -n $name ]] || return "$GLOCK_BAD_NAME"
    _glock_list "$1 $2" || return
    GLOCK_LINES=("${GLOCK_LINES[@]#"$name: "}")
}

# Lines ADDRESS: NAME
glock_who() {
    _glock_takes 0 1 '[NAME]' $# || return
    _glock_list "who ${1:-}"
}

# Lines KEY: VALUE
glock_stats() {
    _glock_takes 0 0 '' $# || return
    _glock_quiet || return
    _glock_send q || return
    GLOCK_LINES=()
    # They are sorted, and this is the last one in every version of the daemon.
    until [[ ${REPLY:-} == 'shared_orphans: '* && ${#GLOCK_LINES[@]} -gt 0 ]]; do
        _glock_hear || return
        GLOCK_LINES+=("$REPLY")
    done
}

glock_explain() {
    _glock_takes 1 1 NAME $# || return
    _glock_ask "explain $1" || return
    REPLY=${REPLY#* }
}

glock_history() {
    _glock_takes 0 1 '[NAME]' $# || return
    _glock_ask "history ${1:-}" || return
    REPLY=${REPLY#* }
}

glock_iam() {
    _glock_takes 0 1 '[NAME]' $# || return
    _glock_ask "iam ${1:-}"
}

# Leaves ADDRESS NAME
glock_me() {
    _glock_takes 0 0 '' $# || return
    _glock_ask me || return
    REPLY=${REPLY#* }
}

# White space around a secret, such as a file's line end, is no part of it; of nothing, nothing is sent.
glock_auth() {
    _glock_takes 1 1 SECRET $# || return
    _glock_trim "$1"
    if [[ $REPLY == *[$'\r\n']* ]]; then
        REPLY='a secret cannot hold a line end'
        printf 'glock: %s\n' "$REPLY" >&2
        return "$GLOCK_BAD_NAME"
    fi
    _glock_normal "$REPLY"
    [[ -z $REPLY ]] || _glock_ask "auth $REPLY"
}

# Proxies between then see no silent connection, which many of them end after a time.
glock_alive() {
    _glock_takes 1 1 SECONDS $# || return
    if ! [[ $1 =~ ^([0-9]{0,9})(\.([0-9]*))?$ && $1 == *[1-9]* ]]; then
        REPLY='0 Bad Argument: SECONDS'
        return "$GLOCK_REFUSED"
    fi
    local seconds=$((10#0${BASH_REMATCH[1]})) reply
    [[ ${BASH_REMATCH[3]} != *[1-9]* ]] || seconds=$((seconds + 1)) # the daemon counts whole ones
    _glock_ask "alive $1" || return
    reply=$REPLY
    _GLOCK_SILENCE[$GLOCK_CONNECTION]=$((250 * seconds))
    _glock_now
    _GLOCK_SIGN[$GLOCK_CONNECTION]=$REPLY
    REPLY=$reply
}

glock_ping() {
    _glock_takes 0 0 '' $# || return
    _glock_ask ping
}

glock_version() {
    _glock_takes 0 0 '' $# || return
    _glock_ask version || return
    REPLY=${REPLY#* }
}

glock_bound() {
    _glock_takes 0 0 '' $# || return
    _glock_ask bound || return
    REPLY=${REPLY%% *}
}

# Send a line, and leave so many lines of reply (1) in GLOCK_LINES. An invalid command has none.
glock_raw() {
    _glock_takes 1 2 'LINE [LINES]' $# || return
    local lines=${2-1}
    if ! [[ $lines =~ ^[0-9]{1,9}$ ]]; then
        REPLY='0 Bad Argument: LINES'
        return "$GLOCK_REFUSED"
    fi
    _glock_quiet || return
    _glock_send "$1" || return
    GLOCK_LINES=()
    while ((${#GLOCK_LINES[@]} < 10#$lines)); do
        _glock_hear || return
        GLOCK_LINES+=("$REPLY")
    done
}

_glock_ask() {
    _glock_quiet || return
    _glock_send "$1" || return
    _glock_hear || return
    _glock_refused
}

# A reply of any number of lines, without an end. A question about a lock that nobody can know of is sent behind the command;
# the answer marks the end.
_glock_list() {
    _glock_quiet || return
    _glock_send "$1" || return
    _glock_send "i $_GLOCK_NONCE" || return
    GLOCK_LINES=()
    while true; do
        _glock_hear "$GLOCK_TIMEOUT" listing || return
        [[ $REPLY != "0 Lock Not Locked: $_GLOCK_NONCE" ]] || break
        GLOCK_LINES+=("$REPLY")
    done
    if [[ ${#GLOCK_LINES[@]} -eq 1 && ${GLOCK_LINES[0]} == '0 disabled' ]]; then
        REPLY='0 disabled'
        return "$GLOCK_REFUSED"
    fi
    REPLY=${#GLOCK_LINES[@]}
}

# A wait that was begun comes first: the daemon serves a connection in order.
_glock_quiet() {
    if [[ -n ${_GLOCK_WAITS[$GLOCK_CONNECTION]:-} ]]; then
        printf 'glock: a wait has begun; glock_finish or glock_cancel comes first\n' >&2
        return 2
    fi
}

_glock_send() {
    local LC_ALL=C out=${_GLOCK_OUT[$GLOCK_CONNECTION]:-}
    if [[ $1 == *$'\n'* || ${#1} -gt 4095 ]]; then
        return "$GLOCK_BAD_NAME"
    fi
    if [[ -z $out ]] || ! _glock_is_mine; then
        return "$GLOCK_LOST"
    fi
    # In a shell of its own: the signal that ends who writes to a closed connection must not end the caller's.
    if ! (trap '' PIPE && printf '%s\n' "$1" >&"$out") 2>/dev/null; then
        _glock_hang_up
        return "$GLOCK_LOST"
    fi
}

# Read the next line of a reply into REPLY: [SECONDS for it and what is pushed before it, or empty for as long as it takes]
# [listing]. Pushed lines are acted on and passed over.
_glock_hear() {
    local seconds=${1-$GLOCK_TIMEOUT} deadline="" left="" status
    if [[ -n $seconds ]]; then
        _glock_now
        deadline=$((REPLY + 100 * 10#$seconds))
    fi
    while true; do
        if [[ -n $deadline ]]; then
            _glock_now
            left=$((deadline - REPLY))
        fi
        status=0
        _glock_line "$left" "${2:-}" || status=$?
        [[ $status -eq 1 ]] || return "$status"
    done
}

# Read a line into REPLY, within so many hundredths of seconds, or however long it takes. Status 1 if it was a pushed one.
_glock_line() {
    local in=${_GLOCK_IN[$GLOCK_CONNECTION]:-} silence=${_GLOCK_SILENCE[$GLOCK_CONNECTION]:-} left=$1 limit=()
    if [[ -z $in ]] || ! _glock_is_mine; then
        return "$GLOCK_LOST"
    fi
    if [[ -z $left || (-n $silence && $silence -lt $left) ]]; then
        left=$silence
    fi
    if [[ -n $left ]]; then
        [[ $left -gt 0 ]] || left=1 # to read for no time is something else
        printf -v left '%d.%02d' $((left / 100)) $((left % 100))
        limit=(-t "$left")
    fi
    if ! IFS= read -r "${limit[@]}" -u "$in" REPLY 2>/dev/null; then # a trap may have closed it
        _glock_hang_up # the end, or no reply in time, and then later ones could not be told apart
        return "$GLOCK_LOST"
    fi
    local line=${REPLY%$'\r'} name
    if [[ -n $silence ]]; then
        _glock_now
        _GLOCK_SIGN[$GLOCK_CONNECTION]=$REPLY
    fi
    REPLY=$line
    [[ $REPLY == '! '* ]] || return 0
    [[ $REPLY != '! alive' ]] || return 1 # no line of a listing: those have a colon
    # "! lost NAME REASON" and "! item POOL ITEM REASON" are no part of a reply. In a listing they may be; there they are pushes
    # if they name what is held here.
    name=${line#'! '[li]*' '}
    case $line in
    '! item '*) _glock_key "give ${name% *}" ;;
    *) _glock_key "r ${name% *}" ;;
    esac
    local key=$REPLY
    REPLY=$line
    if [[ ($line == '! lost '* || $line == '! item '*) && ${_GLOCK_HOLDS["$key"]:-} == held ]]; then
        _GLOCK_HOLDS["$key"]=lost
        return 1
    fi
    [[ ${2:-} == listing ]]
}

# The status that a refusal in REPLY stands for; 0 if it is an answer. What is none must not be taken for a no.
_glock_refused() {
    case $REPLY in
    [1-9]* | '0 Lock Not Locked: '* | '0 Shared Lock Not Locked: '* | '0 Lock Token Stale: '* | '0 Item Put Failure: '* | '0 []'*) return 0 ;;
    '0 Item Take Failure: '* | '0 Not Booked: '*) return "$GLOCK_BUSY" ;;
    '0 Item Done Failure: '* | '0 Item Fail Failure: '* | '0 Item Give Failure: '* | '0 Item Keep Failure: '*) return 1 ;;
    '0 Lock Get Failure: '* | '0 Shared Lock Get Failure: '*) return "$GLOCK_BUSY" ;;
    '0 Lock Get Deadlock: '* | '0 Shared Lock Get Deadlock: '*) return "$GLOCK_DEADLOCK" ;;
    '0 Lock Release Failure: '* | '0 Shared Lock Release Failure: '*) return 1 ;;
    '0 Lock Lease Failure: '* | '0 Lock Token: '* | '0 Unbook Failure: '*) return 1 ;;
    '0 Not Authorised'*) return "$GLOCK_NOT_AUTHORISED" ;;
    *) return "$GLOCK_REFUSED" ;;
    esac
}

# The key of _GLOCK_HOLDS for a release command, into REPLY: number, command, and the name as the daemon understands it.
_glock_key() {
    local word=${1%% *}
    _glock_normal "${1#* }"
    REPLY="$GLOCK_CONNECTION $word $REPLY"
}

# What the daemon makes of a name, into REPLY.
_glock_normal() {
    local LC_ALL=C space
    REPLY=$1
    [[ $REPLY == *[!!-~]* ]] || return 0 # plain and without a space, as most names are
    for space in "${_GLOCK_SPACES[@]}"; do
        REPLY=${REPLY//"$space"/ }
    done
    while [[ $REPLY == *'  '* ]]; do
        REPLY=${REPLY//'  '/ }
    done
    REPLY=${REPLY# }
    REPLY=${REPLY% }
}
