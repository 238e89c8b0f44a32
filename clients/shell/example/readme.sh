. clients/shell/glock.sh

glock_open && glock_lock job 5 && glock_token job && echo "mine: $((REPLY > 0))"
glock_release job
glock_with job 5 echo "a command with the lock held, ended if it is lost"
