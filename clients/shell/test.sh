#!/usr/bin/env bash
#
# Against a daemon: GLOCK_SERVER is where, GLOCK_ADMIN its Unix socket, which lets kick. GLOCK_GUARDED is another one, which
# wants the secret s3cret.

set -u
# shellcheck source=glock.sh
. "$(dirname "${BASH_SOURCE[0]}")/glock.sh"

: "${GLOCK_SERVER:?}" "${GLOCK_ADMIN:?}" "${GLOCK_GUARDED:?}"
here=$(dirname "${BASH_SOURCE[0]}")
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

# same WANTED GOT
same() {
    if [[ $1 != "$2" ]]; then
        echo "  line ${BASH_LINENO[0]}: got '$2', want '$1'"
        wrong=true
    fi
}

# like PATTERN GOT
like() {
    # shellcheck disable=SC2053 # it is a pattern
    if [[ $2 != $1 ]]; then
        echo "  line ${BASH_LINENO[0]}: got '$2', want $1"
        wrong=true
    fi
}

# status WANTED COMMAND...
status() {
    local wanted=$1 got=0
    shift
    "$@" || got=$?
    if [[ $got -ne $wanted ]]; then
        echo "  line ${BASH_LINENO[0]}: $*: status $got, want $wanted"
        wrong=true
    fi
}

# until_true COMMAND...
until_true() {
    local deadline=$((SECONDS + 10))
    until "$@"; do
        if [[ $SECONDS -ge $deadline ]]; then
            echo "  line ${BASH_LINENO[0]}: never: $*"
            wrong=true
            return 1
        fi
        sleep 0.02
    done
}

# on CONNECTION COMMAND...
on() {
    local GLOCK_CONNECTION=$1
    shift
    "$@"
}

# End the connection that holds a lock.
kick_holder() {
    on "$operator" glock_holders "$1" && on "$operator" glock_raw "kick ${GLOCK_LINES[0]}"
}

free() {
    ! on "$operator" glock_locked "$1"
}

test_another_connection_is_kept_out() {
    status 0 glock_lock "sh one"
    status "$GLOCK_BUSY" on "$other" glock_lock "sh one"
    status "$GLOCK_BUSY" on "$other" glock_lock "sh one" 0
    status "$GLOCK_BUSY" on "$other" glock_lock "sh one" 0.0
    status "$GLOCK_TIMED_OUT" on "$other" glock_lock "sh one" 0.01
    status 0 glock_release "sh one"
    status 1 glock_release "sh one"
}

test_answers_are_left_in_REPLY() {
    glock_lock "sh reply" && glock_token "sh reply"
    local token=$REPLY
    status 0 on "$other" glock_check "$token" "sh reply"
    glock_shared "sh reply" && same 1 "$REPLY"
    on "$other" glock_shared "sh reply" 2 && same 2 "$REPLY"
    on "$other" glock_count "sh reply" && same 2 "$REPLY"
    glock_me
    local address=${REPLY%% *}
    glock_holders "sh reply" && same "$address" "${GLOCK_LINES[*]}"
    glock_explain "sh reply" && like '{*'"$address"'*}' "$REPLY"
    glock_stats && like '*command_g: *' "${GLOCK_LINES[*]}"
    glock_history "sh reply" && like '[[]*granted*]' "$REPLY"
    glock_release "sh reply"
    status 1 on "$other" glock_check "$token" "sh reply"
    on "$other" glock_release_shared "sh reply"
}

test_a_wait_is_begun_and_finished_or_cancelled() {
    glock_lock "sh wait"
    status 0 on "$other" glock_start_lock "sh wait" 10
    status 2 on "$other" glock_ping 2>/dev/null
    glock_release "sh wait"
    status 0 on "$other" glock_finish
    status 0 glock_start_lock "sh wait" inf
    status 0 glock_cancel
    status "$GLOCK_CANCELLED" glock_finish
    status 0 on "$other" glock_release "sh wait"
    status 0 free "sh wait"
}

test_a_wait_cancelled_while_the_grant_is_on_its_way_leaves_nothing() {
    local round
    for ((round = 0; round < 50; round++)); do
        glock_lock "sh race" || same granted busy
        on "$other" glock_start_lock "sh race" inf
        glock_release "sh race"
        on "$other" glock_cancel
        free "sh race" || same free "held in round $round"
    done
}

test_a_lost_connection_is_told() {
    glock_lock "sh lost"
    status 1 glock_lost "sh lost"
    kick_holder "sh lost"
    until_true glock_lost "sh lost"
    status "$GLOCK_LOST" glock_ping
    status "$GLOCK_LOST" glock_release "sh lost"
    status "$GLOCK_LOST" glock_lock "sh lost"
}

test_writing_to_a_daemon_that_is_gone_does_not_end_the_shell() {
    kick_me
    status "$GLOCK_LOST" glock_ping
    status "$GLOCK_LOST" glock_ping
}

kick_me() {
    glock_me
    on "$operator" glock_raw "kick ${REPLY%% *}"
}

test_a_lease_that_ran_out_is_told() {
    glock_lock "sh lease"
    status 0 glock_lease 0.02 "sh lease"
    until_true glock_lost "sh lease"
    status 1 glock_release "sh lease"
    status 0 glock_lock "sh lease"
    status 1 glock_lost "sh lease"
    status 0 glock_release "sh lease"
}

test_a_command_runs_with_the_lock() {
    # shellcheck disable=SC2016 # for the other shell to expand
    status 7 glock_with "sh with" 0 bash -c 'cat >"$0"; exit 7' "$work/said" <<<"its input"
    same "its input" "$(cat "$work/said")"
    status 0 free "sh with"
    on "$other" glock_lock "sh with"
    status "$GLOCK_BUSY" glock_with "sh with" 0 touch "$work/never"
    status "$GLOCK_TIMED_OUT" glock_with "sh with" 0.01 touch "$work/never"
    status 1 test -e "$work/never"
    on "$other" glock_release "sh with"
}

test_a_command_ends_when_the_lock_is_lost() {
    local IFS=$'\n\t' started=$SECONDS # as careful scripts set it
    mkfifo "$work/fifo"
    (
        read -r -t 10 _ <>"$work/fifo" # the command runs
        kick_holder "sh guard"
    ) &
    # shellcheck disable=SC2016 # for the other shell to expand
    status "$GLOCK_LOST" glock_with "sh guard" 5 bash -c 'echo >"$0"; exec sleep 60' "$work/fifo"
    wait
    same true "$([[ $SECONDS -lt $((started + 30)) ]] && echo true)"
}

test_the_lock_outlives_a_shell_that_is_killed_while_its_command_runs() {
    mkfifo "$work/started" "$work/end"
    # shellcheck disable=SC2016 # for the other shell to expand
    bash -c '. "$1/glock.sh"; glock_open && glock_with "sh heir" 5 bash -c "echo >\$0/started; read -r _ <\$0/end" "$2"' \
        - "$here" "$work" 2>/dev/null &
    local shell=$!
    read -r -t 10 _ <>"$work/started"
    kill -KILL "$shell"
    wait "$shell" 2>/dev/null
    status 1 free "sh heir"
    status "$GLOCK_BUSY" glock_lock "sh heir"
    echo >"$work/end"
    status 0 glock_lock "sh heir" 10
    glock_release "sh heir"
}

test_a_shell_that_ends_frees_its_locks() {
    local server
    for server in "$GLOCK_SERVER" "$GLOCK_ADMIN"; do
        # shellcheck disable=SC2016 # for the other shell to expand
        { bash -c '. "$1/glock.sh"; glock_open "$2" && glock_lock "sh end" && kill -KILL $$' - "$here" "$server"; } 2>/dev/null
        status 0 glock_lock "sh end" 10
        glock_release "sh end"
    done
}

test_bad_arguments_never_reach_the_wire() {
    local long
    printf -v long '%4096s' ''
    status "$GLOCK_BAD_NAME" glock_lock $'a\nr b'
    status "$GLOCK_BAD_NAME" glock_lock "${long// /x}"
    status "$GLOCK_BAD_NAME" glock_holders " "
    status "$GLOCK_REFUSED" glock_lock "sh bad" soon
    same '0 Bad Argument: SECONDS' "$REPLY"
    status "$GLOCK_REFUSED" glock_shared "sh bad" 0
    status "$GLOCK_UNREACHABLE" glock_open tcp://127.0.0.1:1
    status "$GLOCK_UNREACHABLE" glock_open unix:///nowhere/glockd.sock
    status "$GLOCK_UNREACHABLE" glock_open http://localhost/ 2>/dev/null
    status 0 glock_ping
}

test_a_daemon_may_want_a_secret() {
    local GLOCK_CONNECTION
    glock_open "$GLOCK_GUARDED"
    status 0 glock_auth s3cret
    status 0 glock_lock "sh secret"
    glock_close
    glock_open "$GLOCK_GUARDED"
    status "$GLOCK_NOT_AUTHORISED" glock_lock "sh secret"
    glock_close
    glock_open "$GLOCK_GUARDED"
    status "$GLOCK_NOT_AUTHORISED" glock_auth wrong
    glock_close
}

# Nobody's words are run or looked up.
test_names_are_only_names() {
    local name
    # shellcheck disable=SC2016 # that is the point
    for name in 'a[$(touch '"$work"'/pwned)]' '$HOME `touch '"$work"'/pwned`' '*' '@' ']' '-n' '%s%n' '\n' "it's"; do
        status 0 glock_lock "sh $name"
        status 1 glock_lost "sh $name"
        glock_holders "sh $name" && same 1 "${#GLOCK_LINES[@]}"
        status 0 glock_release "sh $name"
    done
    status 1 test -e "$work/pwned"
}

# What is no word would begin another name: "share 0 2 x" of "3 x" asks for "x 3 x".
test_what_is_no_word_never_reaches_the_wire() {
    glock_lock "mine sh guarded"
    glock_token "mine sh guarded"
    status "$GLOCK_REFUSED" glock_check "$REPLY mine" "sh guarded"
    same "0 Bad Argument: TOKEN" "$REPLY"
    status "$GLOCK_REFUSED" glock_check "" "sh guarded"
    status "$GLOCK_REFUSED" glock_lock "sh guarded" "0 mine"
    status "$GLOCK_REFUSED" glock_read "sh guarded" $'0\tmine'
    status "$GLOCK_REFUSED" glock_shared "sh guarded" "2 mine" 0
    status "$GLOCK_REFUSED" glock_shared "sh guarded" 2 $'0\xc2\xa0mine'
    status "$GLOCK_REFUSED" glock_lease "0 mine" "sh guarded"
    status 0 free "sh guarded"
    status 0 glock_lock "sh guarded" 99999999999999999999
    status 0 glock_release "sh guarded"
}

test_what_is_no_answer_is_not_taken_for_a_no() {
    local reply GLOCK_CONNECTION
    for reply in '0 Only TLS Here' '0 Idle Too Long' 'HTTP/1.1 400 Bad Request' '' 0; do
        rm -f "$work/socket"
        socat "UNIX-LISTEN:$work/socket" "SYSTEM:while read -r line; do echo '$reply'; done" &
        until_true test -S "$work/socket"
        glock_open "unix://$work/socket"
        status "$GLOCK_REFUSED" glock_locked "sh question"
        status "$GLOCK_REFUSED" glock_check 1 "sh question"
        status "$GLOCK_REFUSED" glock_lock "sh question"
        glock_close
        wait
    done
}

test_it_works_under_strict_settings() {
    # shellcheck disable=SC2016 # for the other shell to expand
    status 0 bash -euo pipefail -c '. "$1/glock.sh"
        glock_open
        glock_lock strict
        ! glock_lost strict
        glock_with "strict too" 5 true
        status=0
        glock_with "strict too" 5 false || status=$?
        [[ $status -eq 1 ]]
        work() { false; echo "went on"; }
        [[ -z $(set -e; glock_with "strict too" 5 work) ]]
        glock_release strict
        glock_close' - "$here"
}

passed=0 failed=0
for title in $(compgen -A function test_); do
    wrong=false
    glock_open "$GLOCK_ADMIN" || exit
    operator=$GLOCK_CONNECTION
    glock_open || exit
    other=$GLOCK_CONNECTION
    glock_open || exit
    "$title"
    for GLOCK_CONNECTION in "$GLOCK_CONNECTION" "$other" "$operator"; do
        glock_close
    done
    if $wrong; then
        failed=$((failed + 1))
        echo "failed: $title"
    else
        passed=$((passed + 1))
    fi
done
echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
