# shellcheck shell=bash
#
# Where a daemon is, for glock.sh, which sources this file. All clients understand the same spellings and refuse the others in
# the same words: ../addresses.json has them.

# What an address says: kind (tcp, unix, tls, ws, wss), host, port, path, url (the canonical spelling without options), and its
# options as ca, cert, key, name (host=).
declare -gA _GLOCK_ADDRESS=()
# The urls of an address that names several.
declare -ga _GLOCK_URLS=()

# Take apart what may be several addresses with commas between; the last one stays in _GLOCK_ADDRESS. If it is none: status 1,
# with the reason in REPLY.
_glock_address() {
    local LC_ALL=C rest="$1," part parts=() url
    local -A seen=()
    _GLOCK_URLS=()
    while [[ -n $rest ]]; do
        parts+=("${rest%%,*}")
        rest=${rest#*,}
    done
    for part in "${parts[@]}"; do
        _glock_trim "$part"
        part=$REPLY
        if [[ -z $part ]]; then
            REPLY='it is empty'
            [[ ${#parts[@]} -eq 1 ]] || REPLY='one of several servers is empty'
            return 1
        fi
        _glock_parse "$part" || return
        url=${_GLOCK_ADDRESS[url]}
        [[ -z ${seen["$url"]:-} ]] || _glock_wrong 'a server is named twice' || return
        seen["$url"]=1
        _GLOCK_URLS+=("$url")
    done
}

# White space around it is no part of an address, nor of a secret.
_glock_trim() {
    REPLY=$1
    while [[ $REPLY == [$' \t\n\v\f\r']* ]]; do
        REPLY=${REPLY#?}
    done
    while [[ $REPLY == *[$' \t\n\v\f\r'] ]]; do
        REPLY=${REPLY%?}
    done
}

_glock_wrong() {
    REPLY=$1
    return 1
}

_glock_parse() {
    local kind=${1%%://*}
    kind=${kind,,}
    _GLOCK_ADDRESS=()
    if [[ $1 == /* ]]; then
        _glock_parse_unix "$1"
    elif [[ $1 == *://* && $kind == unix ]]; then
        _glock_parse_unix "${1#*://}"
    elif [[ $1 == *://* ]]; then
        case $kind in
        tcp | tls) _glock_parse_remote "$kind" "${1#*://}" 9999 ;;
        ws | wss) _glock_parse_remote "$kind" "${1#*://}" 9998 ;;
        *) _glock_wrong 'it begins with none of tcp:// unix:// tls:// ws:// wss://' ;;
        esac
    elif [[ ${1,,} == unix:* ]]; then
        _glock_parse_unix "${1#*:}"
    else
        _glock_parse_remote tcp "$1" 9999
    fi
}

_glock_parse_unix() {
    [[ $1 == /* ]] || _glock_wrong 'a Unix socket is unix:///absolute/path' || return
    _GLOCK_ADDRESS=([kind]=unix [path]=$1 [url]=unix://$1)
}

# HOST[:PORT][/PATH][?OPTIONS]: KIND REST USUAL_PORT
_glock_parse_remote() {
    local kind=$1 before=${2%%\?*} path="" where
    [[ $before != *@* ]] || _glock_wrong 'the secret belongs in GLOCK_SECRET, not in the address' || return
    [[ $2 != *'#'* ]] || _glock_wrong 'a # means nothing in an address' || return
    _glock_parse_place "${before%%/*}" "$3" || return
    [[ $before != */* ]] || path=${before#*/}
    where=${_GLOCK_ADDRESS[host]}
    [[ $where != *:* ]] || where="[$where]"
    _GLOCK_ADDRESS[kind]=$kind
    _GLOCK_ADDRESS[url]=$kind://$where:${_GLOCK_ADDRESS[port]}
    if [[ $kind == ws* ]]; then
        [[ $path != *[!!-~]* ]] || _glock_wrong 'the path has to be plain ASCII without blanks' || return
        _GLOCK_ADDRESS[path]=/$path
        _GLOCK_ADDRESS[url]+=/$path
    else
        [[ -z $path ]] || _glock_wrong 'no path belongs behind the host' || return
    fi
    if [[ $2 == *\?* ]]; then
        [[ $kind == tls || $kind == wss ]] || _glock_wrong 'only tls:// and wss:// take options' || return
        _glock_parse_options "${2#*\?}"
    fi
}

# HOST[:PORT]: PLACE USUAL_PORT
_glock_parse_place() {
    local host=${1%%:*} port=$2 ip zone behind
    if [[ $1 =~ ^\[([0-9A-Fa-f:.]*)(%[0-9A-Za-z._-]+)?\](:.*)?$ ]]; then
        ip=${BASH_REMATCH[1]} zone=${BASH_REMATCH[2]} behind=${BASH_REMATCH[3]}
        _glock_is_ipv6 "$ip" || _glock_wrong 'the host is no name or address' || return
        host=${ip,,}$zone # names of interfaces have cases
    else
        behind=${1:${#host}}
        [[ $behind != :*:* || $1 == *[][]* ]] ||
            _glock_wrong 'an IPv6 address stands in brackets, as in [::1]:9999' || return
        [[ -n $host || $1 == *']'* ]] || _glock_wrong 'the host is missing' || return
        [[ $host =~ ^[0-9A-Za-z._-]+$ ]] || _glock_wrong 'the host is no name or address' || return
        host=${host,,}
    fi
    if [[ -n $behind ]]; then
        port=${behind#:}
        [[ $port =~ ^[1-9][0-9]{0,4}$ && $port -le 65535 ]] || _glock_wrong 'the port is no number from 1 to 65535' || return
    fi
    _GLOCK_ADDRESS[host]=$host
    _GLOCK_ADDRESS[port]=$port
}

_glock_is_ipv6() {
    local text=$1 half groups=0 byte
    if [[ $text =~ ^(.*:)([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})$ ]]; then
        text=${BASH_REMATCH[1]}0:0
        for byte in "${BASH_REMATCH[@]:2}"; do
            [[ $byte == 0 || $byte != 0* ]] && [[ $byte -le 255 ]] || return
        done
    fi
    if [[ $text != *::* ]]; then
        [[ $text =~ ^([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}$ ]]
        return
    fi
    for half in "${text%%::*}" "${text#*::}"; do
        [[ -z $half || $half =~ ^[0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4})*$ ]] || return
        half=${half//[!:]/}${half:+:}
        groups=$((groups + ${#half}))
    done
    [[ $groups -le 7 ]]
}

# What stands behind the ? of an address, written as in a web form.
_glock_parse_options() {
    local pairs pair name value
    IFS='&' read -r -d '' -a pairs <<<"$1&" || :
    for pair in "${pairs[@]}"; do
        [[ -n ${pair//$'\n'/} ]] || continue
        value=""
        [[ $pair != *=* ]] || value=${pair#*=}
        _glock_form "${pair%%=*}"
        name=$REPLY
        _glock_form "$value"
        value=$REPLY
        case $name in
        ca | cert | key | host) ;;
        *) _glock_wrong "unknown option: $name" || return ;;
        esac
        [[ -n $value ]] || _glock_wrong "the option $name has no value" || return
        pair=${name/#host/name}
        [[ -z ${_GLOCK_ADDRESS[$pair]:-} ]] || _glock_wrong "the option $name is there twice" || return
        _GLOCK_ADDRESS[$pair]=$value
    done
    [[ -z ${_GLOCK_ADDRESS[key]:-} || -n ${_GLOCK_ADDRESS[cert]:-} ]] || _glock_wrong 'the option key needs cert'
}

# The text that a part of a web form stands for; what is none stays as it is.
_glock_form() {
    local text=${1//+/ } plain="" byte
    while [[ $text =~ ^([^%]*)%([0-9A-Fa-f]{2})(.*)$ ]]; do
        printf -v byte '%b' "\\x${BASH_REMATCH[2]}"
        plain+=${BASH_REMATCH[1]}$byte
        text=${BASH_REMATCH[3]}
    done
    REPLY=$plain$text
}
