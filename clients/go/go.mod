module glock

go 1.19
