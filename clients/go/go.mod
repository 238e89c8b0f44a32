module github.com/glockd/glockd/clients/go

go 1.19
