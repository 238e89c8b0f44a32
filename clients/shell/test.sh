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
    status "$GLOCK_BUSY" on "$other" glock_lock "sh one" -n
    status "$GLOCK_BUSY" on "$other" glock_read "sh one" -n
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
        glock_lock "sh race" -n || same granted busy
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
        glock_open "$GLOCK_ADMIN" # a subshell needs one of its own
        glock_holders "sh guard" && glock_raw "kick ${GLOCK_LINES[0]}"
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
    status "$GLOCK_BUSY" glock_lock "sh heir" -n
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
    status "$GLOCK_REFUSED" glock_lock "sh bad" ""
    same '0 Bad Argument: SECONDS' "$REPLY"
    status "$GLOCK_REFUSED" glock_shared "sh bad" ""
    status "$GLOCK_REFUSED" glock_raw ping one
    status "$GLOCK_UNREACHABLE" glock_open tcp://127.0.0.1:1
    same 'no connection to tcp://127.0.0.1:1' "$REPLY"
    status "$GLOCK_UNREACHABLE" glock_open unix:///nowhere/glockd.sock
    status "$GLOCK_UNREACHABLE" glock_open http://localhost/ 2>/dev/null
    status 0 glock_ping
}

test_a_daemon_may_want_a_secret() {
    local GLOCK_CONNECTION
    local GLOCK_SECRET
    glock_open "$GLOCK_GUARDED"
    status 0 glock_auth s3cret
    status 0 glock_lock "sh secret"
    glock_close
    glock_open "$GLOCK_GUARDED"
    status "$GLOCK_NOT_AUTHORISED" glock_lock "sh secret" -n
    glock_close
    glock_open "$GLOCK_GUARDED"
    status "$GLOCK_NOT_AUTHORISED" glock_auth wrong
    glock_close
    GLOCK_SECRET=$'s3cret\n'
    glock_open "$GLOCK_GUARDED"
    status 0 glock_lock "sh secret" -n
    glock_close
    GLOCK_SECRET=wrong
    status "$GLOCK_NOT_AUTHORISED" glock_open "$GLOCK_GUARDED"
    status "$GLOCK_LOST" glock_ping
}

# answering REPLY: a daemon at $work/socket that says this to each line, COMMAND being that line, but nothing to a release;
# $work/heard is what it heard.
answering() {
    rm -f "$work/socket"
    printf '%s' "$1" >"$work/reply"
    : >"$work/heard"
    cat >"$work/answer" <<'END'
reply=$(<"$1/reply")
while IFS= read -r line; do
    printf '%s\n' "$line" >>"$1/heard"
    [[ $line == 'r '* ]] || printf '%b' "${reply//COMMAND/"$line"}"
done
END
    socat "UNIX-LISTEN:$work/socket" "EXEC:bash $work/answer $work" &
    until_true test -S "$work/socket"
}

test_addresses_are_spelled_as_for_all_clients() {
    local spelled wanted got
    while IFS= read -r -d '' spelled && IFS= read -r -d '' wanted; do
        got=""
        if _glock_address "$spelled"; then
            got=${_GLOCK_URLS[*]}
            if [[ ${#_GLOCK_URLS[@]} -eq 1 ]]; then
                got+=" ${_GLOCK_ADDRESS[kind]} ${_GLOCK_ADDRESS[host]-} ${_GLOCK_ADDRESS[port]-} ${_GLOCK_ADDRESS[path]-}"
                got+=" ${_GLOCK_ADDRESS[ca]-} ${_GLOCK_ADDRESS[cert]-} ${_GLOCK_ADDRESS[key]-} ${_GLOCK_ADDRESS[name]-}"
            fi
        else
            got=$REPLY
        fi
        same "$spelled $wanted" "$spelled $got"
        addresses=$((${addresses-0} + 1))
    done < <(jq -j '.addresses[] | select(.spelled | explode | index(0) | not)
        | .spelled + "\u0000" + (
            .error // (.several // [] | select(length > 0) | join(" "))
            // "\(.url) \(.kind) \(.host // "") \(.port // "") \(.path // "")"
                + (.options // {} | " \(.ca // "") \(.cert // "") \(.key // "") \(.host // "")")
        ) + "\u0000"' "$here/../addresses.json")
    same true "$([[ ${addresses-0} -gt 100 ]] && echo true)"
}

test_the_environment_is_read_as_by_all_clients() {
    local server=$GLOCK_SERVER GLOCK_SERVER unset said spoken
    while IFS= read -r -d '' unset; do
        GLOCK_SERVER=$unset
        _glock_server && same tcp://127.0.0.1:9999 "${_GLOCK_URLS[*]}"
    done < <(jq -j '.unset[] + "\u0000"' "$here/../addresses.json")
    same tcp://127.0.0.1:9999 "${_GLOCK_URLS[*]}"
    GLOCK_SERVER=$' TCP'${server#tcp}$'/\n'
    status 0 glock_open
    glock_close
    for spoken in 'a,b this client takes one server, not several' 'tls://a this client does not speak tls://' \
        'wss://a this client does not speak wss://' ' the host is missing'; do
        GLOCK_SERVER=${spoken%% *}
        GLOCK_SERVER=${GLOCK_SERVER:-:1}
        said=$(glock_open 2>&1)
        same "glock: server $GLOCK_SERVER: ${spoken#* }" "$said"
        status "$GLOCK_UNREACHABLE" glock_open 2>/dev/null
        same "${spoken#* }" "$REPLY"
    done
    said=$(glock_open tcp://me:s3cret@host 2>&1)
    same 'glock: server (not shown): the secret belongs in GLOCK_SECRET, not in the address' "$said"
    status "$GLOCK_UNREACHABLE" glock_open "" 2>/dev/null
    same 'it is empty' "$REPLY"
}

test_secrets_are_read_as_by_all_clients() {
    local secret wanted GLOCK_CONNECTION
    while IFS= read -r -d '' secret && IFS= read -r -d '' wanted; do
        answering '1 ok\n'
        if [[ $wanted == error* ]]; then
            status "$GLOCK_BAD_NAME" glock_auth "$secret" 2>/dev/null
            same "${wanted#error }" "$REPLY"
            GLOCK_SECRET=$secret status "$GLOCK_BAD_NAME" glock_open "unix://$work/socket" 2>/dev/null
        else
            GLOCK_SECRET=$secret status 0 glock_open "unix://$work/socket"
            glock_close
        fi
        wait
        [[ $wanted == error* ]] || same "$wanted" "$(cat "$work/heard")"
    done < <(jq -j '.secrets[] | .secret + "\u0000"
        + (if .error then "error \(.error)" elif .sent then "auth \(.sent)" else "" end) + "\u0000"' "$here/../addresses.json")
}

# The default, in the background so that a failure does not hang.
test_waiting_is_the_default() {
    local kind
    glock_lock "sh default" && glock_shared "sh default" 1
    for kind in lock read shared; do
        mkfifo "$work/$kind"
        # shellcheck disable=SC2016 # for the other shell to expand
        bash -c '. "$1/glock.sh"; glock_open && "glock_$2" "sh default" ${4:+"$4"}; echo $? >"$3"' \
            - "$here" "$kind" "$work/$kind" "$([[ $kind != shared ]] || echo 1)" &
        until_true waiting "sh default"
        if [[ $kind == shared ]]; then
            glock_release_shared "sh default"
        else
            glock_release "sh default"
        fi
        same 0 "$(cat "$work/$kind")"
        wait "$!"
        status 0 glock_lock "sh default"
    done
}

waiting() {
    on "$operator" glock_explain "$1"
    [[ $REPLY == *'"place":1'* ]]
}

test_a_wait_may_be_of_any_size() {
    local seconds
    for seconds in 9223372036 99999999999 99999999999999999999999999 1.5 .5 0000000000000000009 inf; do
        glock_lock "sh years"
        status 0 on "$other" glock_start_lock "sh years" "$seconds"
        until_true waiting "sh years"
        glock_release "sh years"
        status 0 on "$other" glock_finish
        status 0 on "$other" glock_lease "$seconds" "sh years"
        status 0 on "$other" glock_release "sh years"
    done
}

test_what_is_missing_is_not_the_empty_name() {
    local call
    for call in lock read shared start_lock start_read start_shared release release_shared lost locked count token holders \
        shared_holders explain auth alive raw with without "check 1" "lease 1" "with name 1" "lock a 1 b" "read a 1 b" \
        "shared a 1 1 b" "release a b" "ping a" "who a b" "close a" "open a b" "stats a"; do
        # shellcheck disable=SC2086 # several arguments
        status 2 glock_$call 2>/dev/null
    done
    status 0 free ""
    like 'glock: usage: glock_release NAME' "$(glock_release 2>&1)"
}

test_closing_in_a_trap_ends_a_wait() {
    glock_lock "sh close"
    # shellcheck disable=SC2016 # for the other shell to expand
    bash -c '. "$1/glock.sh"; glock_open || exit; trap glock_close USR1; glock_lock "sh close"; exit $?' - "$here" &
    local waiter=$! got=0
    until_true waiting "sh close"
    kill -USR1 "$waiter"
    wait "$waiter" || got=$?
    same "$GLOCK_LOST" "$got"
    status 1 waiting "sh close"
}

# Who else has the connection does not matter to glock_close.
test_closing_frees_the_locks_although_another_process_has_the_connection() {
    local server children=()
    for server in "$GLOCK_SERVER" "$GLOCK_ADMIN"; do
        glock_open "$server"
        glock_lock "sh shared fd" && glock_read "sh shared fd 2" && glock_shared "sh shared fd"
        on "$other" glock_lock "sh shared fd 3"
        glock_start_lock "sh shared fd 3"
        sleep 60 &
        children+=($!)
        glock_close
        status 0 on "$other" glock_lock "sh shared fd" 10
        status 0 on "$other" glock_lock "sh shared fd 2" 10
        status 0 on "$other" glock_shared "sh shared fd" 1 10
        on "$other" glock_release "sh shared fd 3"
        status 0 on "$operator" glock_lock "sh shared fd 3" -n
        on "$operator" glock_release "sh shared fd 3"
        on "$other" glock_release "sh shared fd" && on "$other" glock_release "sh shared fd 2"
        on "$other" glock_release_shared "sh shared fd"
    done
    status 0 kill "${children[@]}"
    wait "${children[@]}" 2>/dev/null
}

test_what_a_shell_has_started_keeps_its_locks_unless_it_is_without_them() {
    local how child
    for how in "" glock_without; do
        # shellcheck disable=SC2016 # for the other shell to expand
        child=$(bash -c '. "$1/glock.sh"; glock_open && glock_lock "sh worker" && { $2 sleep 60 >/dev/null & } && echo $!' \
            - "$here" "$how")
        if [[ -z $how ]]; then
            status "$GLOCK_BUSY" glock_lock "sh worker" -n
            kill "$child"
        fi
        status 0 glock_lock "sh worker" 10
        glock_release "sh worker"
        [[ -z $how ]] || status 0 kill "$child"
    done
}

test_a_subshell_holds_nothing_and_sends_nothing() {
    local call
    glock_lock "sh family" && glock_shared "sh family"
    glock_token "sh family"
    local token=$REPLY
    for call in "lock a" "read a -n" "shared a" "start_lock a" "release sh_family" "token a" "locked a" "count a" "holders a" \
        "lease 1 a" "check 1 a" "explain a" "history" "stats" "who" "iam" "me" "ping" "version" "bound" "raw ping" "alive 1"; do
        # shellcheck disable=SC2086 # several arguments
        (status "$GLOCK_LOST" glock_$call; exit "$($wrong && echo 1 || echo 0)") || wrong=true
    done
    (
        glock_release "sh family"
        glock_release_shared "sh family"
        glock_lost "sh family" && touch "$work/lost"
        glock_close
        exit
    )
    status 0 test -e "$work/lost"
    status 1 glock_lost "sh family"
    glock_token "sh family" && same "$token" "$REPLY"
    status "$GLOCK_BUSY" on "$other" glock_lock "sh family" -n
    glock_count "sh family" && same 1 "$REPLY"
}

# A daemon that answers, and then shows for three seconds that it is alive.
test_a_daemon_that_no_longer_shows_that_it_is_alive_is_lost() {
    local GLOCK_CONNECTION started
    rm -f "$work/socket"
    # shellcheck disable=SC2016 # for socat's shell to expand
    socat "UNIX-LISTEN:$work/socket" SYSTEM:'
        read -r alive; echo "! alive"; echo "1 ok"
        read -r first; echo "1 Lock Get Success\: sh alive"
        read -r wait; for sign in $(seq 30); do echo "! alive"; sleep 0.1; done
        echo "$alive/$first/$wait" >"'"$work"'/heard"
        read -r never' &
    until_true test -S "$work/socket"
    glock_open "unix://$work/socket"
    status 0 glock_alive 0.6
    same '1 ok' "$REPLY"
    status 0 glock_lock "sh alive" -n
    status 1 glock_lost "sh alive"
    started=$SECONDS
    status "$GLOCK_LOST" glock_lock "sh awaited"
    same true "$([[ $((SECONDS - started)) -ge 5 ]] && echo true)"
    status 0 glock_lost "sh alive"
    wait
    same "alive 0.6/g sh alive/wait inf sh awaited" "$(cat "$work/heard")"
    status "$GLOCK_REFUSED" glock_alive inf
    status "$GLOCK_REFUSED" glock_alive 0
}

test_a_real_daemon_shows_that_it_is_alive_to_holders_and_waiters() {
    status 0 glock_alive 1
    status 0 on "$other" glock_alive 0.2
    status 0 glock_lock "sh living"
    status "$GLOCK_TIMED_OUT" on "$other" glock_lock "sh living" 3.5 # more than may pass without a sign
    status 1 glock_lost "sh living"
    status 0 glock_with "sh living with" -n sleep 3.5
    status 0 glock_release "sh living"
}

test_a_holder_that_looks_finds_out_that_the_daemon_is_silent() {
    local GLOCK_CONNECTION
    answering '! alive\n1 COMMAND\n'
    glock_open "unix://$work/socket"
    status 0 glock_alive 0.2
    status 0 glock_lock "sh silent" -n
    status 1 glock_lost "sh silent"
    until_true glock_lost "sh silent"
    wait
    answering '1 COMMAND\n'
    glock_open "unix://$work/socket"
    status 0 glock_alive 0.2
    GLOCK_GRACE=1 status "$GLOCK_LOST" glock_with "sh silent" -n sleep 60
    wait
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
        status "$GLOCK_REFUSED" glock_lock "sh question" -n
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
        [[ -z $(set -e; glock_open; glock_with "strict too" 5 work; echo "and on") ]]
        glock_release strict
        glock_close' - "$here"
}

passed=0 failed=0
mapfile -t titles < <(compgen -A function test_)
for title in "${titles[@]}"; do
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
[[ $passed -eq ${#titles[@]} ]] # an error in an expression ends bash's loop, and with it all tests
