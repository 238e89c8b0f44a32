#!/usr/bin/env bash
#
# Plays the conversations that all clients share against a daemon: conversations.sh SERVER FILE. Wants jq.

set -u
# shellcheck source=glock.sh
. "$(dirname "${BASH_SOURCE[0]}")/glock.sh"

if [[ $# -ne 2 ]]; then
    echo "usage: conversations.sh SERVER FILE" >&2
    exit 2
fi
server=$1

# Each conversation becomes an assignment, each step several: s_client=a s_do=lock … is=(field value …), where values are
# JSON. A NUL ends each, since names may hold line feeds.
program='
    def word: if type == "string" then . else tojson end | @sh;
    def values: to_entries | map("\(.key | @sh) \(.value | tojson | @sh)") | join(" ");
    if .format != 1 then error("format \(.format), want 1") else . end
    | .conversations[]
    | "next=\(.title | @sh)", (
        .steps[]
        | "next=; s_client= s_name= s_wait= s_limit= s_seconds= s_token= s_send= s_later= s_pool= s_item= s_start= s_slip= s_shared= s_booking=; "
        + (del(.is, .until, .over, .keep, .hear) | to_entries | map("s_\(.key)=\(.value | word) ") | join(""))
        + "is=(\(.is // {} | values) \(.until // {} | values)) over=(\(.over // {} | values)) keep=(\(.keep // {} | values)) "
        + "hear=(\(.hear // [] | map(@sh) | join(" "))) until=\(has("until"))"
    )
    | . + "\u0000"'

s_client="" s_do="" s_name="" s_wait="" s_limit="" s_seconds="" s_token="" s_send="" s_later="" s_pool="" s_item="" s_start="" s_slip=""
s_shared="" s_booking="" next="" until=""
is=() over=() keep=() hear=()
declare -A clients started kept result marks

# The result of a step that can fail, from its status.
outcome() {
    case $1 in
    0) result[ok]=true ;;
    1) result[error]='"not held"' ;;
    "$GLOCK_BUSY") result[error]='"busy"' ;;
    "$GLOCK_TIMED_OUT") result[error]='"timeout"' ;;
    "$GLOCK_DEADLOCK") result[error]='"deadlock"' ;;
    "$GLOCK_CANCELLED") result[error]='"cancelled"' ;;
    "$GLOCK_BAD_NAME") result[error]='"bad name"' ;;
    *) result[error]="\"status $1\"" ;;
    esac
    if [[ $1 -ne 0 ]]; then
        result[ok]=false
    else
        result[count]=$REPLY
    fi
}

# Likewise of one that takes an item.
outcome_of_take() {
    outcome "$1"
    if [[ $1 -eq 0 ]]; then
        result[item]=$(jq -n '$ARGS.positional[0]' --args -- "$REPLY")
        result[attempt]=$GLOCK_ATTEMPT
    fi
}

json() {
    jq -cn '$ARGS.positional' --args -- "$@"
}

perform() {
    local status line name
    result=()
    if [[ -n $s_client ]]; then
        if [[ -z ${clients[$s_client]-} ]]; then
            glock_open "$server" || return
            clients[$s_client]=$GLOCK_CONNECTION
        fi
        GLOCK_CONNECTION=${clients[$s_client]}
    else
        GLOCK_CONNECTION=${started[$s_later]}
    fi
    case $s_do in
    lock | read | shared)
        local arguments=("$s_name")
        [[ -z $s_limit ]] || arguments+=("$s_limit")
        [[ $s_do == shared && -z $s_limit ]] || arguments+=("${s_wait:--n}")
        if [[ -n $s_later ]]; then
            started[$s_later]=$GLOCK_CONNECTION
            "glock_start_$s_do" "${arguments[@]}"
            return
        fi
        "glock_$s_do" "${arguments[@]}"
        outcome $?
        ;;
    await)
        glock_finish
        outcome_of_take $?
        ;;
    cancel) glock_cancel ;;
    put)
        glock_put "$s_pool" "$s_item"
        status=$?
        case $status in
        0) result[put]=true ;;
        1) result[put]=false ;;
        *) outcome $status ;;
        esac
        ;;
    take)
        if [[ -n $s_later ]]; then
            started[$s_later]=$GLOCK_CONNECTION
            glock_start_take "$s_pool" "${s_wait:--n}"
            return
        fi
        glock_take "$s_pool" "${s_wait:--n}"
        outcome_of_take $?
        ;;
    done | fail | give)
        "glock_$s_do" "$s_pool" "$s_item"
        outcome $?
        ;;
    keep)
        glock_keep "$s_seconds" "$s_pool" "$s_item"
        outcome $?
        ;;
    pool)
        glock_pool "$s_pool" || return
        while IFS='=' read -r name status; do
            result[$name]=$status
        done < <(jq -r 'to_entries[] | "\(.key)=\(.value)"' <<<"$REPLY")
        ;;
    book)
        local arguments=("$s_name" "$s_seconds" "${s_start:+"+$s_start"}" "${s_slip:-0}")
        [[ -n $s_start ]] || arguments[2]=now
        [[ $s_shared != true ]] || arguments=(-s "${arguments[@]}")
        glock_book "${arguments[@]}"
        outcome $?
        result[booking]=$REPLY
        result[begin]="\"$GLOCK_BEGIN\""
        result[end]="\"$GLOCK_END\""
        ;;
    unbook)
        glock_unbook "${kept["\"$s_booking\""]:-$s_booking}"
        outcome $?
        ;;
    bookings)
        glock_bookings "$s_name"
        status=$?
        if [[ $status -eq 0 ]]; then
            result[count]=$(jq length <<<"$REPLY")
            result[states]=$(jq -c 'map(.state)' <<<"$REPLY")
            result[modes]=$(jq -c 'map(.mode)' <<<"$REPLY")
        else
            outcome $status
        fi
        ;;
    lost_item)
        if glock_lost_item "$s_pool" "$s_item"; then
            result[lost]=true
        else
            result[lost]=false
        fi
        ;;
    release)
        glock_release "$s_name"
        outcome $?
        ;;
    release_shared)
        glock_release_shared "$s_name"
        outcome $?
        ;;
    inspect)
        glock_locked "$s_name"
        status=$?
        case $status in
        0) result[locked]=true ;;
        1) result[locked]=false ;;
        *) outcome $status ;;
        esac
        ;;
    inspect_shared)
        glock_count "$s_name" || return
        result[count]=$REPLY
        result[locked]=$([[ $REPLY -gt 0 ]] && echo true || echo false)
        ;;
    holders | holders_shared)
        if [[ $s_do == holders ]]; then
            glock_holders "$s_name" || return
        else
            glock_shared_holders "$s_name" || return
        fi
        result[holders]=$(json "${GLOCK_LINES[@]}")
        result[count]=${#GLOCK_LINES[@]}
        ;;
    lease)
        glock_lease "$s_seconds" "$s_name"
        outcome $?
        ;;
    token)
        glock_token "$s_name"
        outcome $?
        result[token]=$REPLY
        ;;
    check)
        glock_check "${kept["\"$s_token\""]:-$s_token}" "$s_name"
        status=$?
        [[ $status -le 1 ]] || return
        result[current]=$([[ $status -eq 0 ]] && echo true || echo false)
        ;;
    lost)
        if glock_lost "$s_name"; then
            result[lost]=true
        else
            result[lost]=false
        fi
        ;;
    iam)
        glock_iam "$s_name"
        outcome $?
        ;;
    me)
        glock_me || return
        result[address]=$(jq -n '$ARGS.positional[0]' --args -- "${REPLY%% *}")
        result[name]=$(jq -n '$ARGS.positional[0]' --args -- "${REPLY#* }")
        ;;
    who)
        glock_who "$s_name" || return
        local names=()
        if [[ ${#GLOCK_LINES[@]} -gt 0 ]]; then
            mapfile -t names < <(printf '%s\n' "${GLOCK_LINES[@]#*: }" | LC_ALL=C sort)
        fi
        result[names]=$(json ${names[@]+"${names[@]}"})
        ;;
    stats | mark | grown)
        glock_stats || return
        local key field
        for field in "${is[@]}"; do
            result[$field]=0
        done
        for line in "${GLOCK_LINES[@]}"; do
            key=${line%%: *}
            case $s_do in
            mark) marks["$s_client $key"]=${line#*: } ;;
            stats) result[$key]=${line#*: } ;;
            grown) result[$key]=$((${line#*: } - ${marks["$s_client $key"]:-0})) ;;
            esac
        done
        ;;
    ping | bound | version)
        "glock_$s_do"
        outcome $?
        ;;
    raw)
        glock_raw "$s_send" "${#hear[@]}" || return
        if [[ "$(json ${GLOCK_LINES[@]+"${GLOCK_LINES[@]}"})" != "$(json ${hear[@]+"${hear[@]}"})" ]]; then
            wrong="heard $(json "${GLOCK_LINES[@]}")"
            return 1
        fi
        ;;
    hang_up)
        _glock_hang_up # without releasing anything
        unset "clients[$s_client]"
        ;;
    *)
        wrong="unknown step"
        return 1
        ;;
    esac
}

# Puts kept variables in the place of their names.
value() {
    local variable
    REPLY=$1
    for variable in "${!kept[@]}"; do
        REPLY=${REPLY//"$variable"/"${kept[$variable]}"}
    done
}

compare() {
    local field index
    for ((index = 0; index < ${#is[@]}; index += 2)); do
        field=${is[index]}
        value "${is[index + 1]}"
        if [[ ${result[$field]-} != "$REPLY" ]]; then
            wrong="$field is ${result[$field]-nothing}, want $REPLY"
            return 1
        fi
    done
    for ((index = 0; index < ${#over[@]}; index += 2)); do
        field=${over[index]}
        value "${over[index + 1]}"
        if ! [[ ${result[$field]-} -gt $REPLY ]]; then
            wrong="$field is ${result[$field]-nothing}, want more than $REPLY"
            return 1
        fi
    done
}

step() {
    local deadline=$((SECONDS + 10)) index
    while true; do
        wrong=""
        perform || {
            wrong=${wrong:-"status $?"}
            return 1
        }
        for ((index = 0; index < ${#keep[@]}; index += 2)); do
            kept["\"\$${keep[index]}\""]=${result[${keep[index + 1]//\"/}]}
        done
        compare && return
        [[ $until == true && $SECONDS -lt $deadline ]] || return
        read -r -t 0.01 <> <(:)
    done
}

# The end of a conversation: everybody hangs up.
finish() {
    local letter
    for letter in "${!clients[@]}"; do
        GLOCK_CONNECTION=${clients[$letter]}
        _glock_hang_up
    done
    clients=() started=() kept=() marks=()
    if [[ -z $title ]]; then
        return
    elif [[ -z $failure ]]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "failed: $title: $failure"
    fi
}

if ! glock_open "$server"; then
    echo "no connection to $server" >&2
    exit 2
fi
glock_close
steps=$(mktemp)
trap 'rm "$steps"' EXIT
jq -j "$program" "$2" >"$steps" || exit 2
passed=0 failed=0 title="" failure="" number=0
while IFS= read -r -d '' -u 3 assignments; do
    eval "$assignments"
    if [[ -n $next ]]; then
        finish
        title=$next failure="" number=0
        continue
    fi
    number=$((number + 1))
    if [[ -z $failure ]] && ! step; then
        failure="step $number ($s_client $s_do $s_name): $wrong"
    fi
done 3<"$steps"
finish
echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
